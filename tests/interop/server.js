// Serves probe.Probe with grpc-js, as each task says; prints its port, and stops with its standard input.
//
// The first argument is how responses are compressed. Over TLS where files of a chain and a key follow; clients need
// certificates where a file of roots follows those.

'use strict';

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

const attempts = new Map();

// A length-delimited field of a protobuf message.
function field(number, value) {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes]);
}

// google.rpc.Status with a google.protobuf.Duration of seven seconds.
function richStatus(code) {
  const any = Buffer.concat([
    field(1, 'type.googleapis.com/google.protobuf.Duration'),
    field(2, [8, 7]),
  ]);
  const status = Buffer.concat([Buffer.from([8, code]), field(2, 'as told'), field(3, any)]);
  const metadata = new grpc.Metadata();
  metadata.set('grpc-status-details-bin', status);
  return { code, details: 'as told', metadata };
}

// The error that the task asks for.
function failure(task) {
  if (task.code === 0) return null;
  const count = (attempts.get(task.name) || 0) + 1;
  attempts.set(task.name, count);
  if (task.failing_attempts && count > task.failing_attempts) return null;
  return richStatus(task.code);
}

function outcome(task, index, call) {
  const first = (name) => (call.metadata.get(name)[0] || '').toString();
  const remaining = call.getDeadline() - Date.now();
  return {
    name: task.name,
    index,
    previous_attempts: Number(first('grpc-previous-rpc-attempts') || 0),
    remaining_ms: Number.isFinite(remaining) ? remaining : 0,
    trace_id: (first('traceparent') || '--').split('-')[1],
  };
}

// What its certificate and its token say of a caller, and what it wants to hear again.
function headers(call) {
  const metadata = new grpc.Metadata();
  for (const [name, value] of Object.entries(call.metadata.getMap())) {
    if (name.startsWith('echo')) metadata.set(name, value);
    if (name === 'authorization') metadata.set('token', value);
  }
  const names = call.getAuthContext().sslPeerCertificate?.subjectaltname;
  if (names) metadata.set('peer', names.replace(/^DNS:/, ''));
  return metadata;
}

function unary(call, callback) {
  const failed = failure(call.request);
  if (failed) return callback(failed);
  if (call.request.hang) return undefined;
  call.sendMetadata(headers(call));
  return callback(null, outcome(call.request, 0, call));
}

const handlers = {
  Unary: unary,
  Retried: unary,
  ServerStream(call) {
    const task = call.request;
    for (let index = 0; index < task.count; index++) call.write(outcome(task, index, call));
    const failed = failure(task);
    if (failed) call.emit('error', failed);
    else if (!task.hang) call.end();
  },
  ClientStream(call, callback) {
    let count = 0;
    let last;
    call.on('data', (task) => {
      count += 1;
      last = task;
    });
    call.on('end', () => {
      const failed = failure(last);
      if (failed) callback(failed);
      else callback(null, outcome(last, count, call));
    });
  },
  Bidi(call) {
    call.on('data', (task) => {
      const failed = failure(task);
      if (failed) call.emit('error', failed);
      else call.write(outcome(task, task.count, call));
    });
    call.on('end', () => call.end());
  },
};

function credentials([chain, key, roots]) {
  if (chain === undefined) return grpc.ServerCredentials.createInsecure();
  const pair = { cert_chain: fs.readFileSync(chain), private_key: fs.readFileSync(key) };
  const known = roots === undefined ? null : fs.readFileSync(roots);
  return grpc.ServerCredentials.createSsl(known, [pair], known !== null);
}

const algorithms = { NoCompression: 0, Deflate: 1, Gzip: 2 };
const [compression = 'NoCompression', ...files] = process.argv.slice(2);
const server = new grpc.Server({ 'grpc.default_compression_algorithm': algorithms[compression] });
server.addService(probe.Probe.service, handlers);
server.bindAsync('127.0.0.1:0', credentials(files), (error, port) => {
  if (error) throw error;
  process.stdout.write(`${port}\n`);
});
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
