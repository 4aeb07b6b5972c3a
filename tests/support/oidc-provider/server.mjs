// A certified OpenID provider with a person's pages: clients as people register them, rotation with reuse detection.
// Prints "listening ISSUER"; ends when its stdin does. PORT chooses the port; CLIENT_JWKS holds the public keys of the
// clients that prove themselves with one. Who proves a key (DPoP) must do so with the server's nonce. REGISTRATION=public|secret
// lets clients register and manage themselves (RFC 7591, RFC 7592), with a secret if it says so; any resource of this computer
// is one whose tokens it issues (RFC 8707). MACHINE_LIFETIME turns client credentials on, with tokens of that many seconds.
import { Provider, errors } from 'oidc-provider';
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';

const machine = Number(process.env.MACHINE_LIFETIME ?? 0);
const grants = {
  grant_types: [
    'authorization_code',
    'refresh_token',
    'urn:ietf:params:oauth:grant-type:device_code',
    ...(machine ? ['client_credentials'] : []),
  ],
  response_types: ['code'],
};
const confidential = (method) => ({
  ...grants,
  client_id: method,
  application_type: 'native',
  token_endpoint_auth_method: method,
  // Characters that mean something in a form and in a header.
  client_secret: process.env.CLIENT_SECRET,
  redirect_uris: ['http://127.0.0.1/callback'],
});
const keyed = (client_id, more) => ({
  ...grants,
  client_id,
  application_type: 'native',
  token_endpoint_auth_method: 'private_key_jwt',
  jwks: JSON.parse(process.env.CLIENT_JWKS),
  redirect_uris: ['http://127.0.0.1/callback'],
  ...more,
});

const registration = process.env.REGISTRATION;
// A server that knows clients with a secret alone has none of the others.
const known = (client) => registration !== 'secret' || client.token_endpoint_auth_method !== 'none';

const server = createServer();
await new Promise((resolve, reject) => {
  server.once('error', reject);
  server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', resolve);
});
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [
    {
      ...grants,
      client_id: 'desktop',
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      redirect_uris: ['dev.larder.desktop:/callback', 'http://127.0.0.1/callback'],
    },
    {
      ...grants,
      client_id: 'paste',
      application_type: 'web',
      token_endpoint_auth_method: 'none',
      redirect_uris: ['https://me.example/cb'],
    },
    confidential('client_secret_post'),
    confidential('client_secret_basic'),
    {
      ...grants,
      client_id: 'bound',
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      dpop_bound_access_tokens: true,
      redirect_uris: ['http://127.0.0.1/callback'],
    },
    ...(process.env.CLIENT_JWKS
      ? [keyed('keyed'), keyed('keyed-and-bound', { dpop_bound_access_tokens: true })]
      : []),
  ].filter(known),
  ...(registration === 'secret' && { clientAuthMethods: ['client_secret_basic', 'client_secret_post'] }),
  pkce: { required: () => true },
  // Else short-lived tokens live 15 s longer.
  clockTolerance: 0,
  features: {
    clientCredentials: { enabled: machine > 0 },
    devInteractions: { enabled: true },
    deviceFlow: { enabled: true },
    introspection: { enabled: machine > 0, allowedPolicy: () => true },
    dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => true },
    revocation: { enabled: true, allowedPolicy: () => true },
    userinfo: { enabled: true },
    registration: { enabled: Boolean(registration) },
    registrationManagement: { enabled: Boolean(registration), rotateRegistrationAccessToken: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (ctx, resource) => {
        if (new URL(resource).hostname !== '127.0.0.1') throw new errors.InvalidTarget();
        return { scope: 'read', audience: resource, accessTokenFormat: 'jwt', accessTokenTTL: 600 };
      },
    },
  },
  rotateRefreshToken: true,
  issueRefreshToken: (ctx, client) => client.grantTypeAllowed('refresh_token'),
  ttl: {
    AccessToken: 600,
    AuthorizationCode: 60,
    ClientCredentials: machine || 600,
    Grant: 3600,
    IdToken: 600,
    Interaction: 600,
    RefreshToken: 3600,
    Session: 3600,
  },
  cookies: { keys: ['test'] },
  claims: { openid: ['sub'], email: ['email'], profile: ['name'] },
  findAccount: (ctx, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: `${id}@example.com`, name: id }),
  }),
});

// What an assertion says, but for its id: it is checked already.
function claims(assertion) {
  if (!assertion) return undefined;
  const { jti, ...rest } = JSON.parse(Buffer.from(assertion.split('.')[1], 'base64url'));
  return rest;
}

// What came, and how the client proved itself: never with what.
const seen = [];
// Pushed authorization requests (RFC 9126).
const pushed = [];
// What a registration brought and nobody else is to see: a test looks for it in every file.
const secrets = [];
provider.use(async (ctx, next) => {
  if (ctx.path === '/_seen') {
    ctx.body = seen;
    return;
  }
  if (ctx.path === '/_pushed') {
    ctx.body = pushed;
    return;
  }
  if (ctx.path === '/_secrets') {
    ctx.body = secrets;
    return;
  }
  await next();
  if (ctx.path.startsWith('/reg')) {
    const { client_secret, registration_access_token } = ctx.body ?? {};
    secrets.push(...[client_secret, registration_access_token].filter(Boolean));
    seen.push({ path: ctx.path, method: ctx.method, status: ctx.status });
  }
  if (ctx.path === '/request') {
    const { client_assertion, dpop_jkt, scope, resource } = ctx.oidc?.body ?? {};
    const client_id = ctx.oidc?.client?.clientId;
    pushed.push({ assertion: claims(client_assertion), dpop_jkt, client_id, scope, resource, status: ctx.status });
  }
  if (ctx.path === '/token' || ctx.path === '/token/revocation') {
    seen.push({
      path: ctx.path,
      grant_type: ctx.oidc?.body?.grant_type,
      scope: ctx.oidc?.body?.scope,
      header: ctx.get('authorization').split(' ')[0],
      form: ctx.oidc?.body?.client_secret !== undefined,
      resource: ctx.oidc?.body?.resource,
      assertion: claims(ctx.oidc?.body?.client_assertion),
      proof: ctx.get('dpop') !== '',
      error: ctx.body?.error,
      status: ctx.status,
    });
  }
});

server.on('request', provider.callback());
console.log(`listening ${issuer}`);
process.stdin.resume();
process.stdin.on('end', () => process.exit());
