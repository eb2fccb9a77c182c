// A certified OpenID provider (the npm package oidc-provider) on loopback, and a guard, which checks
// DPoP (oauth4webapi) in front of a resource server that knows bearer tokens only.
//
// Arguments: the folder that holds node_modules, and a JSON object of options. Writes one line,
// {"issuer", "guard"}, and ends with its stdin. Beside the provider's own pages there are:
//   GET  /-/seen   every request so far: route, status, grant, resource, scope, error
//   POST /-/set    changes options
import { createServer, request as send } from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [folder, text] = process.argv.slice(2);
const options = {
  clients: [],
  subjects: '', // the client whose ID tokens can be exchanged
  seconds: 600, // for which access tokens are good
  format: 'jwt', // of access tokens; or opaque
  nonce: false, // whether DPoP proofs need one
  ahead: 0, // seconds by which the clock is wrong
  upstream: '', // what the guard is in front of
  ...JSON.parse(text),
};
const { resolve } = createRequire(`${folder}/package.json`);
const load = (name) => import(pathToFileURL(resolve(name)));
const { default: Provider, errors } = await load('oidc-provider');
const oauth = await load('oauth4webapi');

const clock = Date.now;
Date.now = () => clock() + 1000 * options.ahead;

async function listening() {
  const server = createServer();
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  return [server, `http://127.0.0.1:${server.address().port}`];
}

async function signingKey() {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256' };
  const { privateKey } = await crypto.subtle.generateKey(algorithm, true, ['sign']);
  const { kty, crv, x, y, d } = await crypto.subtle.exportKey('jwk', privateKey);
  return { kty, crv, x, y, d, kid: 'k1', use: 'sig', alg: 'ES256' };
}

async function whole(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

function resourceServer(resource) {
  if (!/^http:\/\/127\.0\.0\.1:\d+\/mcp$/.test(resource)) throw new errors.InvalidTarget();
  return {
    audience: resource,
    scope: 'crm:read crm:write',
    accessTokenFormat: options.format,
    accessTokenTTL: options.seconds,
    jwt: { sign: { alg: 'ES256' } },
  };
}

const [server, issuer] = await listening();
const [guard, guarded] = await listening();
const seen = [];

const provider = new Provider(issuer, {
  clients: options.clients,
  claims: { openid: ['sub', 'roles'] },
  clientDefaults: { id_token_signed_response_alg: 'ES256' },
  conformIdTokenClaims: false,
  cookies: { keys: ['loopback'] },
  enabledJWA: { idTokenSigningAlgValues: ['ES256'] },
  features: {
    clientCredentials: { enabled: true },
    dPoP: { enabled: true, nonceSecret: Buffer.alloc(32, 7), requireNonce: () => options.nonce },
    introspection: { enabled: true },
    registration: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (context, resource) => resourceServer(resource),
    },
    revocation: { enabled: true },
  },
  findAccount: (context, id) => ({
    accountId: id,
    claims: () => ({ sub: id, roles: ['desk', `only-${id}`] }),
  }),
  jwks: { keys: [await signingKey()] },
  pkce: { required: () => true },
  rotateRefreshToken: true,
  ttl: { IdToken: 3600, RefreshToken: 86400, Grant: 86400, Session: 86400, Interaction: 600 },
});

// RFC 8693: an ID token of this provider for an access token of that user.
provider.registerGrantType(
  'urn:ietf:params:oauth:grant-type:token-exchange',
  async (context) => {
    const { params, client } = context.oidc;
    const subjects = await provider.Client.find(options.subjects);
    const { payload } = await provider.IdToken.validate(params.subject_token, subjects).catch(() => {
      throw new errors.InvalidGrant('the subject token is not one of this provider');
    });
    const token = new provider.AccessToken({ accountId: payload.sub, client, gty: 'exchange' });
    const { resource } = params;
    token.resourceServer = new provider.ResourceServer(resource, resourceServer(resource));
    token.scope = 'crm:read';
    context.body = {
      access_token: await token.save(),
      issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      token_type: 'Bearer',
      expires_in: token.expiration,
    };
  },
  ['subject_token', 'subject_token_type', 'requested_token_type', 'audience', 'resource', 'scope'],
);

provider.use(async (context, next) => {
  await next();
  const { grant_type: grant, resource, scope, code_challenge_method: pkce } = context.oidc?.params ?? {};
  const route = context.oidc?.route ?? context.path;
  seen.push({ route, status: context.status, grant, resource, scope, pkce, error: context.body?.error });
});

const answer = provider.callback();
server.on('request', async (request, response) => {
  if (request.url === '/-/seen') {
    response.end(JSON.stringify(seen, (key, value) => value ?? null));
  } else if (request.url === '/-/set') {
    Object.assign(options, JSON.parse(await whole(request)));
    response.end();
  } else {
    answer(request, response);
  }
});

guard.on('request', async (request, response) => {
  const headers = { ...request.headers };
  if (headers.authorization) {
    const proven = new Request(`${guarded}${request.url}`, { method: request.method, headers });
    try {
      await oauth.validateJwtAccessToken({ issuer, jwks_uri: `${issuer}/jwks` }, proven, `${guarded}/mcp`, {
        requireDPoP: true,
        [oauth.allowInsecureRequests]: true,
      });
    } catch (error) {
      seen.push({ route: 'guard', status: 401, error: error.message });
      const page = `${guarded}/.well-known/oauth-protected-resource/mcp`;
      const challenge = `DPoP error="invalid_token", resource_metadata="${page}"`;
      response.writeHead(401, { 'www-authenticate': challenge }).end();
      return;
    }
    seen.push({ route: 'guard', status: 200 });
    headers.authorization = headers.authorization.replace(/^DPoP /i, 'Bearer ');
  }
  const { host, hostname, port } = new URL(options.upstream);
  const onward = { hostname, port, path: request.url, method: request.method, headers: { ...headers, host } };
  const further = send(onward, (from) => {
    response.writeHead(from.statusCode, from.headers);
    from.pipe(response);
  });
  further.on('error', () => response.destroy());
  request.pipe(further);
});

console.log(JSON.stringify({ issuer, guard: guarded }));
process.stdin.on('end', () => process.exit(0)).resume();
