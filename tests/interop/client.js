// Calls probe.Probe at the target given with grpc-js; each function is one check, named by the second argument.

'use strict';

const assert = require('assert');
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

const checks = {
  async compressed_responses(client) {
    const name = 'a'.repeat(10000);
    const unary = (task) =>
      new Promise((resolve, reject) => {
        client.Unary(task, (error, outcome) => (error ? reject(error) : resolve(outcome)));
      });
    assert.strictEqual((await unary({ name })).name, name);
    const stream = client.ServerStream({ name, count: 2 });
    const names = [];
    for await (const outcome of stream) names.push(outcome.name);
    assert.deepStrictEqual(names, [name, name]);
  },
};

const [target, check] = process.argv.slice(2);
const client = new probe.Probe(target, grpc.credentials.createInsecure());
checks[check](client).then(
  () => client.close(),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
