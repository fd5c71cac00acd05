#!/usr/bin/env node
// The same program as signup.py, for Node: see README.md beside this file.
//
//   signup.js add EMAIL | confirm ID | await ID | poll ID | listen ID | serve PORT

const { createServer } = require('http');
const { Client } = require('pg');

const STATE = "SELECT state FROM dataflows.runs WHERE workflow = 'signup' AND key = $1";
const AT_REST = ['completed', 'rolled_back', 'cancelled', 'abandoned', 'stuck'];

// gives a connection to a function; a pool of your application does the same
async function connected(work, url = process.env.DATABASE_URL) {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

// the first value of the first row
async function one(client, sql, ...values) {
  const { rows } = await client.query(sql, values);
  return rows.length ? Object.values(rows[0])[0] : undefined;
}

const add = (email) => connected(async (client) => {
  await client.query('BEGIN'); // if it rolls back, there is no signup and no run
  const id = await one(client, 'INSERT INTO signups (email) VALUES ($1) RETURNING id', email);
  await client.query('COMMIT');
  return id;
});

const confirm = (key) => connected((client) => one(client,
  "SELECT dataflows.signal_by_key('signup', $1, 'email-confirmed', $2)", key, { via: 'node' }));

const waitInDatabase = (key) => connected((client) => one(client,
  "SELECT dataflows.await(dataflows.run_of('signup', $1), '1 minute', ended => true)", key));

const poll = (key, seconds = 60) => connected(async (client) => {
  const end = Date.now() + seconds * 1000;
  let state;
  for (let pause = 50; ; pause = Math.min(2 * pause, 5000)) {
    state = await one(client, STATE, key);
    if (AT_REST.includes(state) || Date.now() > end) return state;
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
});

const listen = (key, seconds = 60) => connected(async (client) => {
  const run = await one(client, "SELECT dataflows.run_of('signup', $1)", key);
  const heard = new Promise((resolve) => {
    client.on('notification', ({ payload }) => {
      const { run: of, state } = JSON.parse(payload);
      if (of === run && AT_REST.includes(state)) resolve(state);
    });
    setTimeout(resolve, seconds * 1000).unref();
  });
  await client.query('LISTEN signups');
  // look once after LISTEN: what was said before it is not heard
  const state = await one(client, STATE, key);
  return AT_REST.includes(state) ? state : heard;
}, process.env.DIRECT_URL);

const serve = (port) => new Promise((resolve) => {
  const server = createServer(async (request, response) => {
    let text = '';
    for await (const part of request) text += part;
    // a request may come twice, with one key: do what belongs to it once
    console.log(request.url, JSON.parse(text).signup, request.headers['idempotency-key']);
    response.writeHead(204, { Connection: 'close' }).end();
    server.close(resolve);
  });
  server.listen(Number(port), '127.0.0.1');
});

const jobs = { add, confirm, await: waitInDatabase, poll, listen, serve };
const [job, argument] = process.argv.slice(2);

if (argument === undefined || !Object.hasOwn(jobs, job)) {
  console.error(`usage: signup.js ${Object.keys(jobs).join('|')} ARGUMENT`);
  process.exit(2);
}
jobs[job](argument).then(
  (answer) => answer !== undefined && console.log(answer),
  (error) => { console.error(error.message); process.exitCode = 1; });
