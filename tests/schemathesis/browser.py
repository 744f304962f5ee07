"""A browser, as somebody uses it who is sent to the test's identity provider: whoever names an account there is it."""

import os
import urllib.parse

import requests


def sent_back(url, account):
    """What the address says that the provider sends them back to."""
    provider = urllib.parse.urlsplit(url).netloc
    with requests.Session() as browser:
        # Or the environment's authorities would be taken for it.
        browser.trust_env = False
        browser.verify = os.environ["HEDDLE_PROVIDER_CA"]
        for _ in range(20):
            at = urllib.parse.urlsplit(url)
            if at.netloc != provider:
                return dict(urllib.parse.parse_qsl(at.query))
            answer = browser.get(url, allow_redirects=False, timeout=30)
            if not answer.is_redirect:
                asked = 'value="login"' in answer.text
                form = {"prompt": "login", "login": account, "password": "x"} if asked else {"prompt": "consent"}
                answer = browser.post(url, data=form, allow_redirects=False, timeout=30)
            url = urllib.parse.urljoin(url, answer.headers["Location"])
    raise AssertionError(f"it leads in circles: {url}")
