// An issuer with oidc-provider. It listens on a free port of 127.0.0.1 and prints the port. It logs
// every user in as ann, who consents to everything.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { randomBytes, X509Certificate } from 'node:crypto';
import { exportJWK, generateKeyPair } from 'jose';
import Provider from 'oidc-provider';

const settings = JSON.parse(process.argv[2]);

async function signingKey(alg) {
  const { privateKey } = await generateKeyPair(alg, { extractable: true });
  return { ...(await exportJWK(privateKey)), alg, use: 'sig', kid: alg };
}

const credentials = { client_secret: settings.secret, redirect_uris: [], response_types: [] };
const clients = [
  {
    client_id: 'app',
    token_endpoint_auth_method: 'none',
    redirect_uris: ['https://app.example/callback'],
    grant_types: ['authorization_code', 'refresh_token'],
    dpop_bound_access_tokens: true,
    backchannel_logout_uri: settings.logout,
    backchannel_logout_session_required: true,
    post_logout_redirect_uris: ['https://app.example/'],
  },
  { ...credentials, client_id: 'service', grant_types: ['client_credentials'] },
  {
    ...credentials,
    client_id: 'tls',
    grant_types: ['client_credentials'],
    tls_client_certificate_bound_access_tokens: true,
  },
  { ...credentials, client_id: 'api', grant_types: [] },
];

const configuration = {
  clients,
  jwks: { keys: await Promise.all(['ES256', 'RS256'].map(signingKey)) },
  cookies: { keys: [randomBytes(16).toString('hex')] },
  findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  issueRefreshToken: () => true,
  extraTokenClaims({ oidc: { entities } }) {
    const { sid } = entities.AuthorizationCode ?? entities.RefreshToken ?? {};
    return sid && { sid }; // so that a logout ends the access tokens of the session
  },
  enabledJWA: {
    dPoPSigningAlgValues: ['ES256', 'ES384', 'EdDSA', 'PS256', 'RS256'],
  },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => true },
    mTLS: {
      enabled: true,
      certificateBoundAccessTokens: true,
      getCertificate(ctx) {
        const { raw } = ctx.socket.getPeerCertificate();
        return raw && new X509Certificate(raw);
      },
    },
    backchannelLogout: { enabled: true },
    rpInitiatedLogout: {
      enabled: true,
      logoutSource(ctx, form) { // the page that asks the user whether to log out
        ctx.body = form;
      },
    },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo: (ctx, resource) => ({
        scope: 'read',
        audience: 'testapi',
        accessTokenTTL: 600,
        accessTokenFormat: resource.endsWith('/opaque') ? 'opaque' : 'jwt',
        jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
};

// interact answers the prompts of the issuer in place of a user.
async function interact(provider, request, response) {
  const { prompt, params, session } = await provider.interactionDetails(request, response);
  if (prompt.name === 'login') {
    await provider.interactionFinished(request, response, { login: { accountId: 'ann' } });
    return;
  }
  const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope('openid offline_access');
  grant.addResourceScope(params.resource, 'read');
  const grantId = await grant.save();
  await provider.interactionFinished(request, response, { consent: { grantId } }, {
    mergeWithLastSubmission: true,
  });
}

const server = createServer({
  key: readFileSync(settings.key),
  cert: readFileSync(settings.certificate),
  requestCert: true,
  rejectUnauthorized: false,
});
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const provider = new Provider(`https://127.0.0.1:${port}`, configuration);
  const handle = provider.callback();
  server.on('request', (request, response) => {
    if (!request.url.startsWith('/interaction/')) {
      handle(request, response);
      return;
    }
    interact(provider, request, response).catch((error) => {
      console.error(error);
      response.writeHead(500).end();
    });
  });
  console.log(port);
});
process.stdin.on('end', () => process.exit()).resume(); // ends with the test
