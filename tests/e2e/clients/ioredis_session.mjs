// ioredis in cluster mode: a session a shop's front end could have had. usage: node ioredis_session.mjs HOST:PORT…
import assert from 'node:assert/strict';
import Redis from 'ioredis';

const seeds = process.argv.slice(2).map((seed) => {
  const [host, port] = seed.split(':');
  return {host, port: Number(port)};
});
const cluster = new Redis.Cluster(seeds, {
  slotsRefreshTimeout: 3000,
  clusterRetryStrategy: (times) => (times > 5 ? null : 100),
});
cluster.on('error', (error) => { console.error('cluster error', error.message); process.exitCode = 1; });

const checks = [];
const check = (name, body) => checks.push([name, body]);

check('sees every node', () => assert.equal(cluster.nodes('master').length, seeds.length));
check('reads back what it wrote on every node', async () => {
  const keys = Array.from({length: 300}, (_, i) => `io:${i}`);
  await Promise.all(keys.map((key) => cluster.set(key, `value of ${key}`)));
  for (const key of keys) assert.equal(await cluster.get(key), `value of ${key}`);
});
check('binary values survive', async () => {
  const bytes = Buffer.from([0, 1, 2, 13, 10, 255, 0]);
  await cluster.set('io:binary', bytes);
  assert.deepEqual(await cluster.getBuffer('io:binary'), bytes);
});
check('options of SET', async () => {
  assert.equal(await cluster.set('io:nx', 'a', 'EX', 60, 'NX'), 'OK');
  assert.equal(await cluster.set('io:nx', 'b', 'NX'), null);
  const ttl = await cluster.pttl('io:nx');
  assert.ok(ttl > 0 && ttl <= 60000, `pttl ${ttl}`);
});
check('counters', async () => {
  await cluster.del('io:n');
  assert.equal(await cluster.incr('io:n'), 1);
  assert.equal(await cluster.incrby('io:n', 41), 42);
});
check('a pipeline to one slot keeps its order', async () => {
  const results = await cluster.pipeline().set('{io}:a', '1').incr('{io}:a').get('{io}:a').mget('{io}:a', '{io}:none').exec();
  assert.deepEqual(results.map(([error, value]) => [error, value]), [[null, 'OK'], [null, 2], [null, '2'], [null, ['2', null]]]);
});
check('keys of different slots in one command are refused', async () => {
  await assert.rejects(cluster.call('mget', 'io:1', 'io:2', 'io:3', 'io:4'), /CROSSSLOT/);
});
check('a wrong node answers MOVED, and the client follows', async () => {
  const nodes = cluster.nodes('master');
  const answers = await Promise.all(nodes.map((node) => node.get('io:7').then((v) => v, (e) => e.message)));
  assert.equal(answers.filter((a) => a === 'value of io:7').length, 1);
  assert.equal(answers.filter((a) => /^MOVED \d+ /.test(a)).length, nodes.length - 1);
});
check('scan finds every key exactly once', async () => {
  const found = new Set();
  for (const node of cluster.nodes('master')) {
    let cursor = '0';
    do {
      const [next, keys] = await node.scan(cursor, 'MATCH', 'io:[0-9]*', 'COUNT', 100);
      keys.forEach((key) => found.add(key));
      cursor = next;
    } while (cursor !== '0');
  }
  assert.equal(found.size, 300);
});

await new Promise((resolve, reject) => {
  cluster.once('ready', resolve);
  setTimeout(() => reject(new Error('not ready within 5 s')), 5000).unref();
});
for (const [name, body] of checks) {
  await body();
  console.log(`ok ${name}`);
}
cluster.disconnect();
