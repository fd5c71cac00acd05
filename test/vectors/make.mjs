// Signs bodies with the libraries of those who send webhooks, and writes what
// they made as test/unit/ingress/signature_vectors.h:
//
//   cd test/vectors && npm install && node make.mjs > ../unit/ingress/signature_vectors.h
import Stripe from 'stripe';
import { Webhook as Standard } from 'standardwebhooks';
import { Webhook as Svix } from 'svix';
import { sign as signGithub } from '@octokit/webhooks-methods';

const at = 1700000000;
const bodies = [
	'{"id":"evt_1","object":"event","type":"invoice.paid"}',
	'{"name":"Zoë Østergård 😀","note":"a\\nb"}',
	'{\n  "spaces": " kept ",\r\n  "tab": "\\t"\n}\n',
	'{}',
	JSON.stringify({ long: 'x'.repeat(3000) }),
];
const stripe = new Stripe('sk_test_123');
const vectors = [];

function quoted(text)
{
	const bytes = Buffer.from(text, 'utf8');
	let out = '';
	let column = 0;

	for (const byte of bytes)
	{
		out += '\\' + byte.toString(8).padStart(3, '0');
		if (++column % 40 === 0)
			out += '"\n\t\t"';
	}
	return `"${out}"`;
}

function add(library, scheme, secret, body, headers)
{
	vectors.push({ library, scheme, secret, body, headers });
}

for (const [index, body] of bodies.entries())
{
	const whsec = 'whsec_' + Buffer.from(`a key of bytes ${index} \u0001\u00ff`, 'latin1').toString('base64');
	const id = `msg_${index}`;

	add('stripe', 'stripe', 'whsec_test_secret', body, {
		'stripe-signature': stripe.webhooks.generateTestHeaderString({ payload: body, secret: 'whsec_test_secret', timestamp: at }) });
	add('octokit', 'github', "It's a Secret", body, {
		'x-github-delivery': id, 'x-hub-signature-256': await signGithub("It's a Secret", body) });
	add('standardwebhooks', 'standard', whsec, body, {
		'webhook-id': id, 'webhook-timestamp': String(at), 'webhook-signature': new Standard(whsec).sign(id, new Date(at * 1000), body) });
	add('svix', 'standard', whsec, body, {
		'svix-id': id, 'svix-timestamp': String(at), 'svix-signature': new Svix(whsec).sign(id, new Date(at * 1000), body) });
}

console.log(`/*
 * test/unit/ingress/signature_vectors.h
 *	  Deliveries as the senders' own libraries sign them.
 *
 * Made by test/vectors/make.mjs; not to be edited.
 */`);
console.log(`#define VECTORS_AT ${at}\n`);
console.log('static const Vector vectors[] = {');
for (const v of vectors)
{
	const headers = Object.entries(v.headers).map(([name, value]) => `{"${name}", ${quoted(value)}}`).join(', ');

	console.log(`\t{"${v.library}", "${v.scheme}", ${quoted(v.secret)}, ${quoted(v.body)}, ${Buffer.byteLength(v.body)},\n\t{${headers}}},`);
}
console.log('};');
