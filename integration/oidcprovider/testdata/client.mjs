// A client with oauth4webapi and dpop. It gets a token that is bound to a new key, calls an API with
// it in several ways, and prints what it saw as JSON.
import { webcrypto } from 'node:crypto';
import { calculateJwkThumbprint, decodeJwt, exportJWK } from 'jose';

globalThis.crypto ??= webcrypto; // Node.js 18 lacks these two
globalThis.CryptoKey ??= webcrypto.CryptoKey;
const oauth = await import('oauth4webapi');
const dpop = await import('dpop');

const settings = JSON.parse(process.argv[2]);
const redirect = 'https://app.example/callback';
const keys = await oauth.generateKeyPair(settings.algorithm, { extractable: true });
const client = { client_id: settings.flow === 'code' ? 'app' : 'service' };
const auth = settings.flow === 'code' ? oauth.None() : oauth.ClientSecretBasic(settings.secret);
const DPoP = oauth.DPoP(client, keys);
const atIssuer = oauth.DPoP(client, keys, {
  [oauth.modifyAssertion](header) {
    if (header.alg === 'Ed25519') header.alg = 'EdDSA'; // oidc-provider 8 has only the older name
  },
});
const issuer = new URL(settings.issuer);
const server = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer));
const cookies = new Map();

// again calls f a second time if the first call shows that a nonce is needed.
async function again(f) {
  try {
    return await f();
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error;
    return f();
  }
}

// browse follows redirects as a browser does, up to a URL of the client.
async function browse(url, init = {}) {
  for (let hops = 0; hops < 20; hops++) {
    if (!url.href.startsWith(issuer.href)) return { url };
    const cookie = [...cookies].map((pair) => pair.join('=')).join('; ');
    const headers = { ...init.headers, cookie };
    const response = await fetch(url, { ...init, headers, redirect: 'manual' });
    for (const line of response.headers.getSetCookie()) {
      const [name, ...value] = line.split(';')[0].split('=');
      cookies.set(name, value.join('='));
    }
    if (!response.headers.has('location')) return { url, text: await response.text() };
    url = new URL(response.headers.get('location'), url);
    init = {};
  }
  throw new Error('too many redirects');
}

async function codeFlow() {
  const verifier = oauth.generateRandomCodeVerifier();
  const url = new URL(server.authorization_endpoint);
  url.search = new URLSearchParams({
    client_id: client.client_id,
    redirect_uri: redirect,
    response_type: 'code',
    scope: 'openid offline_access read',
    prompt: 'consent',
    resource: settings.resource,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    dpop_jkt: await DPoP.calculateThumbprint(),
  });
  const back = (await browse(url)).url;
  const params = oauth.validateAuthResponse(server, client, back, oauth.expectNoState);
  return again(async () => {
    const response = await oauth.authorizationCodeGrantRequest(
      server, client, auth, params, redirect, verifier, { DPoP: atIssuer },
    );
    return oauth.processAuthorizationCodeResponse(server, client, response);
  });
}

const credentials = () => again(async () => {
  const parameters = { scope: 'read', resource: settings.resource };
  const response = await oauth.clientCredentialsGrantRequest(
    server, client, auth, parameters, { DPoP: atIssuer },
  );
  return oauth.processClientCredentialsResponse(server, client, response);
});

async function seen(response) {
  const { status, headers } = response;
  return {
    status,
    challenge: headers.get('www-authenticate') ?? '',
    nonce: headers.get('dpop-nonce') ?? '',
    ...(await response.json().catch(() => ({}))),
  };
}

const api = (path) => new URL(path, settings.api);

// library calls the API through oauth4webapi. It returns what the client saw, and how many requests
// were needed. If the API refused the request, oauth4webapi has parsed the challenges.
async function library(token, method, path) {
  let requests = 0;
  try {
    const response = await again(() => {
      requests++;
      return oauth.protectedResourceRequest(token, method, api(path), undefined, undefined, { DPoP });
    });
    return { ...(await seen(response)), requests };
  } catch (error) {
    if (!(error instanceof oauth.WWWAuthenticateChallengeError)) throw error;
    return { ...(await seen(error.response)), requests, schemes: error.cause.map((c) => c.scheme) };
  }
}

// raw calls the API with a given proof.
async function raw(path, token, proof, scheme = 'DPoP') {
  const headers = { authorization: `${scheme} ${token}` };
  if (proof) headers.dpop = proof;
  return seen(await fetch(api(path), { headers }));
}

const tokens = await (settings.flow === 'code' ? codeFlow() : credentials());
const token = tokens.access_token;
const result = {
  type: tokens.token_type,
  thumbprint: await calculateJwkThumbprint(await exportJWK(keys.publicKey)),
  bound: settings.resource.endsWith('/opaque') ? '' : decodeJwt(token).cnf.jkt,
  first: await library(token, 'GET', '/read?page=1#top'),
  second: await library(token, 'POST', '/read'),
};
if (settings.misuse) {
  let { nonce } = result.second;
  if (settings.nonces && !nonce) {
    const url = api('/read').href;
    ({ nonce } = await raw('/read', token, await dpop.generateProof(keys, url, 'GET', undefined, token)));
  }
  nonce ||= undefined;
  const make = (pair, path, method, n = nonce, t = token) =>
    dpop.generateProof(pair, api(path).href, method, n, t);
  const proof = await make(keys, '/read', 'GET');
  const thief = await dpop.generateKeyPair('ES256');
  result.misuse = {
    once: await raw('/read', token, proof),
    twice: await raw('/read', token, proof),
    'as Bearer': await raw('/read', token, undefined, 'Bearer'),
    'as Bearer with a proof': await raw('/read', token, await make(keys, '/read', 'GET'), 'Bearer'),
    'without a proof': await raw('/read', token),
    'key of a thief': await raw('/read', token, await make(thief, '/read', 'GET')),
    'another path': await raw('/read', token, await make(keys, '/other', 'GET')),
    'another method': await raw('/read', token, await make(keys, '/read', 'POST')),
    'another token': await raw('/read', token, await make(keys, '/read', 'GET', nonce, 'another')),
    'no token hash': await raw('/read', token, await dpop.generateProof(keys, api('/read').href, 'GET', nonce)),
    'another nonce': await raw('/read', token, await make(keys, '/read', 'GET', 'made-up')),
    'still usable': await raw('/read', token, await make(keys, '/read', 'GET')),
  };
}
if (tokens.refresh_token) {
  const refreshed = await again(async () => {
    const response = await oauth.refreshTokenGrantRequest(
      server, client, auth, tokens.refresh_token, { DPoP: atIssuer },
    );
    return oauth.processRefreshTokenResponse(server, client, response);
  });
  result.refreshed = await library(refreshed.access_token, 'GET', '/read');
}
if (settings.logout) {
  const url = new URL(server.end_session_endpoint);
  url.search = new URLSearchParams({ id_token_hint: tokens.id_token });
  const { text } = await browse(url);
  const xsrf = /name="xsrf" value="([^"]+)"/.exec(text)[1];
  await browse(new URL(/action="([^"]+)"/.exec(text)[1]), {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ xsrf, logout: 'yes' }).toString(),
  });
  result.loggedOut = await library(token, 'GET', '/read');
}
console.log(JSON.stringify(result));
