"""A browser without a screen: follows redirects, keeps cookies, fills in the forms that it gets.

`python visitor.py NAME URL` logs in as NAME and agrees; `BROWSER` can be `... visitor.py NAME %s`.
"""

import re
import sys
from html import unescape
from urllib.parse import urljoin

import httpx2

PAGES = 20


def visit(url, name, stop=""):
    """Log in at `url` as `name`. Returns where that ends: at the first address that begins with
    `stop`, which is not asked, or at a page without a form."""
    with httpx2.Client(trust_env=False, timeout=20) as client:
        method, form = "GET", None
        for _ in range(PAGES):
            if stop and url.startswith(stop):
                return url
            answer = client.request(method, url, data=form)
            method, form = "GET", None
            if answer.is_redirect:
                url = urljoin(url, answer.headers["location"])
            elif found := re.search(r'<form[^>]* action="([^"]+)"', answer.text):
                form = dict(re.findall(r'name="(\w+)" value="([^"]*)"', answer.text))
                form |= {"login": name, "password": "any"} if form["prompt"] == "login" else {}
                method, url = "POST", urljoin(url, unescape(found[1]))
            else:
                answer.raise_for_status()
                return url
    raise AssertionError(f"more than {PAGES} pages")


if __name__ == "__main__":
    visit(sys.argv[2], sys.argv[1])
