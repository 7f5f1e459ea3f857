// Calls probe.Probe at the target given with grpc-js; each function is one check, named by the second argument.
//
// Over TLS where a file of roots follows; with a client certificate where its chain and key follow that. The variable
// CHANNEL_OPTIONS has the channel's options, as JSON.

'use strict';

const assert = require('assert');
const fs = require('fs');
const path = require('path');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const tests = path.join(__dirname, '..');
const definition = loader.loadSync('probe.proto', {
  includeDirs: [path.join(tests, 'proto'), path.join(tests, '..', 'generator', 'proto')],
  keepCase: true,
  defaults: true,
});
const { probe } = grpc.loadPackageDefinition(definition);

const large = { name: 'a'.repeat(10000) };

// One answer, with the headers before it; an error otherwise.
function call(method, task, metadata = new grpc.Metadata(), options = {}) {
  return new Promise((resolve, reject) => {
    let headers;
    const answered = (error, outcome) => (error ? reject(error) : resolve({ outcome, headers }));
    client[method](task, metadata, options, answered).on('metadata', (received) => {
      headers = received;
    });
  });
}

async function unary(task, options) {
  return (await call('Unary', task, undefined, options)).outcome;
}

// A stream of outcomes, read to its end.
async function all(stream) {
  const outcomes = [];
  for await (const outcome of stream) outcomes.push(outcome);
  return outcomes;
}

// A call of many tasks, and the way to send them.
function sending(stream, tasks) {
  tasks.forEach((task) => stream.write(task));
  stream.end();
  return stream;
}

async function failure(answer) {
  try {
    await answer;
  } catch (error) {
    assert.ok(error.code !== undefined, error);
    return error;
  }
  return assert.fail('the call succeeded');
}

function soon(milliseconds) {
  return { deadline: Date.now() + milliseconds };
}

// As grpcio has it.
function accessToken(token) {
  return grpc.credentials.createFromMetadataGenerator((_, callback) => {
    const metadata = new grpc.Metadata();
    metadata.set('authorization', `Bearer ${token}`);
    callback(null, metadata);
  });
}

const checks = {
  async unary() {
    const metadata = new grpc.Metadata();
    metadata.set('echo', 'spoken');
    metadata.set('echo-bin', Buffer.from([0x00, 0xff]));
    const { outcome, headers } = await call('Unary', { name: 'a' }, metadata);
    assert.strictEqual(outcome.name, 'a');
    assert.deepStrictEqual(headers.get('echo'), ['spoken']);
    assert.deepStrictEqual(headers.get('echo-bin'), [Buffer.from([0x00, 0xff])]);
  },

  async server_streaming() {
    const outcomes = await all(client.ServerStream({ name: 'a', count: 1000 }));
    assert.deepStrictEqual(outcomes.map(({ index }) => index), [...Array(1000).keys()]);
  },

  async client_streaming() {
    const tasks = [...Array(1000).keys()].map((index) => ({ name: `${index}` }));
    const outcome = await new Promise((resolve, reject) => {
      sending(client.ClientStream((error, answer) => (error ? reject(error) : resolve(answer))), tasks);
    });
    assert.deepStrictEqual([outcome.index, outcome.name], [1000, '999']);
  },

  async bidi_streaming() {
    const tasks = [...Array(100).keys()].map((count) => ({ name: 'a', count }));
    const outcomes = await all(sending(client.Bidi(), tasks));
    assert.deepStrictEqual(outcomes.map(({ index }) => index), [...Array(100).keys()]);
  },

  async compressed_requests() {
    assert.strictEqual((await unary(large)).name, large.name);
    const outcomes = await all(sending(client.Bidi(), [large, large]));
    assert.deepStrictEqual(outcomes.map(({ name }) => name), [large.name, large.name]);
  },

  async compressed_responses() {
    assert.strictEqual((await unary(large)).name, large.name);
    const outcomes = await all(client.ServerStream({ ...large, count: 2 }));
    assert.deepStrictEqual(outcomes.map(({ name }) => name), [large.name, large.name]);
  },

  // Of a fresh stream there are 65,535 bytes of room: a little less, exactly that, more, and much more.
  async answers_around_the_window() {
    const around = [...Array(50).keys()].map((more) => 65500 + more);
    for (const size of [65000, ...around, 100000, 1000000]) {
      const { name } = await unary({ name: 'a'.repeat(size) }, soon(20000));
      assert.strictEqual(name.length, size);
    }
  },

  async deadline() {
    const error = await failure(unary({ name: 'a', hang: true }, soon(200)));
    assert.strictEqual(error.code, grpc.status.DEADLINE_EXCEEDED);
    const stream = client.ServerStream({ name: 'a', count: 1, hang: true }, soon(200));
    const other = await failure(all(stream));
    assert.strictEqual(other.code, grpc.status.DEADLINE_EXCEEDED);
  },

  async deadline_reaches_the_handler() {
    const { remaining_ms: remaining } = await unary({ name: 'a' }, soon(60000));
    assert.ok(remaining >= 1 && remaining <= 60000, `${remaining}`);
  },

  async status_details() {
    const error = await failure(unary({ name: 'a', code: grpc.status.NOT_FOUND }));
    assert.deepStrictEqual([error.code, error.details], [grpc.status.NOT_FOUND, 'as told']);
    assert.deepStrictEqual(error.metadata.get('grpc-status-details-bin'), [Buffer.from([8, 7])]);
    assert.deepStrictEqual(error.metadata.get('attempt'), ['1']);
  },

  async status_after_messages() {
    const stream = client.ServerStream({ name: 'a', count: 2, code: grpc.status.ABORTED });
    const read = [];
    stream.on('data', ({ index }) => read.push(index));
    const error = await new Promise((resolve) => stream.on('error', resolve));
    assert.strictEqual(error.code, grpc.status.ABORTED);
    assert.deepStrictEqual(read, [0, 1]);
  },

  async unimplemented() {
    const same = (bytes) => bytes;
    const answer = new Promise((resolve, reject) => {
      client.makeUnaryRequest('/probe.Probe/Nothing', same, same, Buffer.alloc(0), (error) =>
        error ? reject(error) : resolve(),
      );
    });
    assert.strictEqual((await failure(answer)).code, grpc.status.UNIMPLEMENTED);
  },

  async cancellation() {
    const stream = client.ServerStream({ name: 'cancelled', count: 1, hang: true });
    stream.on('data', () => stream.cancel());
    const error = await new Promise((resolve) => stream.on('error', resolve));
    assert.strictEqual(error.code, grpc.status.CANCELLED);
  },

  async peer() {
    const { headers } = await call('Unary', { name: 'a' });
    process.stdout.write(headers.get('peer')[0]);
  },

  async bearer_token() {
    const credentials = accessToken('secret');
    const { headers } = await call('Unary', { name: 'a' }, undefined, { credentials });
    assert.deepStrictEqual(headers.get('token'), ['Bearer secret']);
  },

  // Unary is for those with a scope, Retried for those with another, ServerStream for all.
  async authorization() {
    const token = process.env.TOKEN;
    const credentials = accessToken(token);
    assert.strictEqual((await unary({ name: 'a' }, { credentials })).name, 'a');
    assert.strictEqual((await all(client.ServerStream({ name: 'a', count: 3 }))).length, 3);
    const denied = await failure(call('Retried', { name: 'a' }, undefined, { credentials }));
    assert.strictEqual(denied.code, grpc.status.PERMISSION_DENIED);
    assert.ok(denied.details.startsWith('insufficient_scope'), denied.details);
    const unknown = await failure(unary({ name: 'a' }));
    assert.strictEqual(unknown.code, grpc.status.UNAUTHENTICATED);
    const forged = { credentials: accessToken(`${token.slice(0, -8)}AAAAAAAA`) };
    const refused = await failure(unary({ name: 'a' }, forged));
    assert.strictEqual(refused.code, grpc.status.UNAUTHENTICATED);
    assert.ok(refused.details.startsWith('invalid_token'), refused.details);
  },

  async refused() {
    const error = await failure(unary({ name: 'a' }, soon(20000)));
    assert.strictEqual(error.code, grpc.status.UNAVAILABLE);
  },

  // Calls that hang, until one is not ended by its server: prints how many were.
  async pings() {
    for (let ended = 0; ; ended += 1) {
      const error = await failure(unary({ name: 'a', hang: true }, soon(9000)));
      if (error.code === grpc.status.DEADLINE_EXCEEDED) {
        process.stdout.write(`${ended}`);
        return;
      }
      // What Node.js makes of ENHANCE_YOUR_CALM.
      assert.strictEqual(error.code, grpc.status.RESOURCE_EXHAUSTED, error);
    }
  },
};

function channelCredentials([roots, chain, key]) {
  if (roots === undefined) return grpc.credentials.createInsecure();
  const read = (file) => (file === undefined ? null : fs.readFileSync(file));
  return grpc.credentials.createSsl(read(roots), read(key), read(chain));
}

const [target, check, ...files] = process.argv.slice(2);
const client = new probe.Probe(target, channelCredentials(files), {
  // The certificate is for a name, the target is an address.
  ...(files.length > 0 && { 'grpc.ssl_target_name_override': 'probe.test' }),
  ...JSON.parse(process.env.CHANNEL_OPTIONS || '{}'),
});
checks[check]().then(
  () => client.close(),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
