// Keys as a person makes them for their client: prints { jwks, ec, rsa, other, small }, the public ones for the provider, a
// P-256 one as PEM, an RSA one as a private JWK, one that is not registered, and one that is too small.
import { generateKeyPairSync } from 'node:crypto';

const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const other = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const small = generateKeyPairSync('rsa', { modulusLength: 1024 });
const named = (key, more) => ({ ...key.export({ format: 'jwk' }), ...more });
const pem = (pair) => pair.privateKey.export({ format: 'pem', type: 'pkcs8' });
console.log(
  JSON.stringify({
    jwks: { keys: [named(ec.publicKey, { use: 'sig' }), named(rsa.publicKey, { kid: 'rsa-1', alg: 'PS256', use: 'sig' })] },
    ec: pem(ec),
    rsa: JSON.stringify(named(rsa.privateKey, { kid: 'rsa-1', alg: 'PS256' })),
    other: pem(other),
    small: pem(small),
  }),
);
