"""A secret of each form that is found, in the text that it usually stands in. None is real."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sample:
    text: str
    secret: str
    kind: str


def _of(kind: str, secret: str, before: str = "", after: str = "") -> Sample:
    return Sample(f"{before}{secret}{after}", secret, kind)


_HEX = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
_MIX = "q7RtY2uIoP9aSdF4gHjK6lZxC1vBnM3w"
_LINES = "".join(f"{_MIX}{_MIX[::-1]}\n" for _ in range(6))
_PEM = f"-----BEGIN RSA PRIVATE KEY-----\n{_LINES}Zm9v\n-----END RSA PRIVATE KEY-----"
_OPENSSH = _PEM.replace("RSA", "OPENSSH")
_PUTTY = (
    "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\nComment: me\nPublic-Lines: 2\n"
    f"{_MIX}\nPrivate-Lines: 1\n{_MIX}\nPrivate-MAC: {_HEX}{_HEX}"
)
_JWT = f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbmEiLCJuIjoxfQ.{_MIX}abc_-"

SAMPLES = {
    "GitHub": _of("github-token", "ghp_" + _MIX + "0Ab9"),
    "GitHub, fine-grained": _of("github-token", "github_pat_11" + _MIX),
    "GitHub in a URL": _of("github-token", "gho_" + _MIX + "0Ab9", "https://", "@github.com/a/b"),
    "GitHub in JSON": _of("github-token", "ghs_" + _MIX + "0Ab9", '{"a": "line\\n', '"}'),
    "GitLab": _of("gitlab-token", "glpat-" + _MIX[:20]),
    "AWS key id": _of("aws-key", "AKIA" + "Q3EGRI7VZP2LKXYW"),
    "AWS key": _of("api-key", _MIX + "ab/+cd12", "aws_secret_access_key = "),
    "AWS key in JSON": _of("api-key", _MIX + "ab/+cd12", '{"SecretAccessKey": "', '"}'),
    "Azure storage": _of("azure-key", _MIX + _MIX + _MIX[:22] + "==", "AccountName=a;AccountKey="),
    "Azure bus": _of("azure-key", _MIX + "0aZ9uY7xW5v=", "SharedAccessKeyName=r;SharedAccessKey="),
    "Azure SAS": _of("signature", _MIX + "%2Bab%3D", "https://a.blob.core.windows.net/c?sv=1&sig="),
    "AWS signed URL": _of(
        "signature", _HEX + _HEX, "https://b.s3.amazonaws.com/o?X-Amz-Signature="
    ),
    "Google API": _of("google-key", "AIza" + _MIX + "Ab9"),
    "Google OAuth": _of("google-token", "ya29." + _MIX),
    "OpenAI": _of("api-key", "sk-proj-" + _MIX),
    "Anthropic": _of("api-key", "sk-ant-api03-" + _MIX + "-AA"),
    "Hugging Face": _of("huggingface-token", "hf_" + _MIX + "ab"),
    "npm": _of("npm-token", "npm_" + _MIX + "0Ab9"),
    "npmrc": _of("npm-token", _HEX, "//registry.npmjs.org/:_authToken="),
    "PyPI": _of("pypi-token", "pypi-AgEIcHlwaS5vcmc" + _MIX + _MIX + _MIX),
    "Slack bot": _of("slack-token", "xoxb-123456789012-1234567890123-" + _MIX[:24]),
    "Slack app": _of("slack-token", "xapp-1-A0B1C2D3E4F-1234567890123-" + _HEX),
    "Slack webhook": _of("webhook", f"https://hooks.slack.com/services/T0AB1CD2E/B0FG3HI4J/{_MIX}"),
    "Discord": _of("discord-token", "MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ." + _MIX[:27]),
    "Telegram": _of("telegram-token", "110201543:AAH" + _MIX),
    "Stripe": _of("stripe-key", "sk_live_" + _MIX[:24]),
    "SendGrid": _of("sendgrid-key", f"SG.{_MIX[:22]}.{_MIX}{_MIX[:11]}"),
    "Twilio": _of("twilio-key", "SK" + _HEX),
    "Mailchimp": _of("mailchimp-key", _HEX + "-us12"),
    "Square": _of("square-secret", "sq0csp-" + _MIX + "0Ab9uY7xW5v"),
    "Artifactory": _of("artifactory-key", "AKCp8" + _MIX, '"', '"'),
    "SoftLayer": _of("softlayer-key", _HEX + _HEX, "softlayer_api_key = '", "'"),
    "Vault": _of("vault-token", "hvs." + _MIX),
    "age": _of("age-key", "AGE-SECRET-KEY-1" + "QP3ZRY9X8GF2TVDW0S" * 3),
    "JWT": _of("jwt", _JWT),
    "JWT in a header": _of("jwt", _JWT, "Authorization: Bearer "),
    "Bearer": _of("bearer-token", _MIX, "authorization: bearer "),
    "Basic": _of("basic-auth", "YW5hOmh1bnRlcjI=", "Authorization: Basic "),
    "URL": _of("url-password", "s3cr3tpw", "postgres://app:", "@db.internal:5432/x"),
    "URL without a user": _of("url-password", "p4ssw0rdX", "redis://:", "@cache/0"),
    "URL, at in it": _of("url-password", "p@ss:w0rd", "amqp://u:", "@mq.internal"),
    "password": _of("password", "hunter2", "password = "),
    "password in JSON": _of("password", "hunter2x!", '{"password": "', '"}'),
    "password in JSON in JSON": _of("password", "hunter2x!", '"{\\"password\\": \\"', '\\"}"'),
    "password in YAML": _of("password", "tr0ub4dor&3", "db:\n  password: "),
    "password in XML": _of("password", "hunter2x", "<password>", "</password>"),
    "password option": _of("password", "S3cretpw", "mysql --password="),
    "password variable": _of("password", "S3cret!pw", "export DB_PASS='", "'"),
    "password of ADO": _of("password", "S3cr3t!x", "Server=x;Password=", ";"),
    "token option": _of("token", _MIX[:18], "tool --token "),
    "key header": _of("api-key", _HEX, "X-Api-Key: "),
    "key in JSON": _of("api-key", _MIX[:20], '{"api_key": "', '"}'),
    "client secret": _of("secret", _MIX[:24], "client_secret="),
    "private key": _of("private-key", _PEM),
    "private key of SSH": _of("private-key", _OPENSSH, "cat id\n"),
    "private key in JSON": _of("private-key", _PEM.replace("\n", "\\n"), '{"key": "', '"}'),
    "private key of PuTTY": _of("private-key", _PUTTY),
}

ORDINARY = (
    "password: required, at least 12 characters",
    "password = getpass.getpass()",
    'password = os.environ["DB_PASSWORD"]',
    "password: ${DB_PASSWORD}",
    'api_key = "YOUR_API_KEY"',
    "token = self.tokens[0]",
    '{"max_tokens": 4096, "total_tokens": 12345678}',
    '{"nextPageToken": "CAUQAA1b2c3d4e5f6g7h8"}',
    '{"token": {"type": "string", "description": "The token of version 2"}}',
    "def login(user: str, password: str) -> Token1: ...",
    "https://user:password@example.com/",
    "http://localhost:8080/a@b",
    "ssh git@github.com:owner/repo.git",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "commit 3f2a9c1d5e7b8f60718293a4b5c6d7e8f9012345",
    "550e8400-e29b-41d4-a716-446655440000",
    "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUQ1\n-----END CERTIFICATE-----",
    "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYI\n-----END PUBLIC KEY-----",
    "The header is -----BEGIN PRIVATE KEY----- and then base64.",
    "Bearer tokens are sent in the Authorization header.",
    "Authorization: Bearer <token>",
    "Authorization: Bearer ${TOKEN_OF_2026}, or Bearer your-Token1234567890abc",
    "arn:aws:secretsmanager:us-east-1:123456789012:secret:prod-db-A1b2C3",
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "sk-learn-contrib-and-other-packages-for-python",
    "key-value-pairs-are-stored-in-a-hash-table-2024",
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk",
    "meeting at 12:30, room 4.112.23, 2026-11-22T10:11:12.123456Z",
    "passed 1024 tests: pass=1024 fail=0",
    "[secret:github-token:3fa9c1] and password = [secret:CRM_TOKEN]",
)
