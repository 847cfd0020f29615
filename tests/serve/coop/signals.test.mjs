// The built package as Coop loads it, beside a real `safejudge serve` and servers that lie.
// test_coop.py starts this; SAFEJUDGE_TEST names a file of what it needs.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { after, test } from 'node:test';
import { pathToFileURL } from 'node:url';

const given = JSON.parse(readFileSync(process.env.SAFEJUDGE_TEST, 'utf8'));
process.env.SAFEJUDGE_CARD = given.card;
// Coop's loader takes the default export of what `require` gives.
const plugin = createRequire(import.meta.url)(given.package).default;
const card = JSON.parse(readFileSync(given.card, 'utf8'));
const RULE = `SAFEJUDGE_RULE_${given.rule.replaceAll('-', '_').toUpperCase()}`;
const open = [];
after(() => {
  for (const server of open) {
    server.closeAllConnections();
    server.close();
  }
});

function signals(config, from = plugin) {
  const context = { integrationId: 'SAFEJUDGE', getCredential: async () => config };
  return Object.fromEntries(from.createSignals(context).map((s) => [s.signalTypeId, s.signal]));
}

const real = (config = {}) => signals({ serverUrl: given.url, apiKey: given.key, ...config });
const image = (url) => ({ value: { type: 'IMAGE', value: { url } }, orgId: 'org' });
const fails = (promise, says) =>
  assert.rejects(promise, (error) => error.name === 'SafejudgeNoScoreError' && says.test(error.message));

/** A server that answers as it is told, and counts. */
async function stub(answer) {
  const server = createServer((request, response) => {
    server.asked += 1;
    request.resume().on('end', () => answer(response, request));
  });
  server.asked = 0;
  open.push(server);
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  return { server, config: { serverUrl: `http://127.0.0.1:${server.address().port}` } };
}

const reply = (change = {}) => ({
  results: [
    {
      label: 'unsafe',
      score: 0.9,
      rules: { [given.rule]: { outcome: 'violated', score: 0.9 } },
      ...change.record,
    },
  ],
  coverage: {
    received: 1, judged: 1, failed: 0, frames_unseen: 0,
    revision: card.safejudge.provenance.revision,
    ...change.coverage,
  },
});
const says = (content, status = 200) => (response) =>
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(content));

test('the plugin is what Coop takes', () => {
  const { manifest } = plugin;
  assert.match(manifest.id, /^[A-Z_]+$/);
  assert.equal(manifest.requiresConfig, true);
  const made = signals({});
  assert.deepEqual(Object.keys(made), [...manifest.signalTypeIds]);
  assert.equal(new Set(manifest.signalTypeIds).size, manifest.signalTypeIds.length);
  for (const [type, signal] of Object.entries(made)) {
    assert.equal(signal.id.type, type);
    assert.deepEqual(signal.eligibleInputs, ['IMAGE']);
  }
});

test('the card has every section that Coop asks for, and nothing that it does not know', () => {
  const { modelCard } = plugin.manifest;
  const ids = modelCard.sections.map((section) => section.id);
  assert.deepEqual(ids, given.sections);
  assert.deepEqual(Object.keys(modelCard).sort(), ['modelName', 'releaseDate', 'sections', 'version']);
});

test('without a card the sections are there and say that nothing is known', async () => {
  delete process.env.SAFEJUDGE_CARD;
  const { default: bare } = await import(`${pathToFileURL(given.package)}/dist/index.js?bare`);
  process.env.SAFEJUDGE_CARD = given.card;
  assert.deepEqual(bare.manifest.modelCard.sections.map((section) => section.id), given.sections);
  for (const section of bare.manifest.modelCard.sections) assert.match(section.fields[0].value, /^unknown/);
  assert.deepEqual(bare.manifest.signalTypeIds, ['SAFEJUDGE_SCORE', 'SAFEJUDGE_LABEL']);
});

test('a rule has the thresholds of the card, and one that has none recommends none', () => {
  const made = signals({});
  assert.deepEqual(made[RULE].recommendedThresholds, given.thresholds);
  assert.equal(made.SAFEJUDGE_SCORE.recommendedThresholds, null);
  const others = Object.keys(made).filter((type) => type.startsWith('SAFEJUDGE_RULE_') && type !== RULE);
  for (const type of others) assert.equal(made[type].recommendedThresholds, null);
});

test('an unsafe image has a high score, by its rule too; a safe one a low one', async () => {
  const { SAFEJUDGE_SCORE: any, SAFEJUDGE_LABEL: label, [RULE]: rule } = real();
  const found = await rule.run(image(given.unsafe));
  assert.deepEqual(found.outputType, { scalarType: 'NUMBER' });
  assert.ok(found.score > 0.5 && found.score <= 1);
  assert.equal((await any.run(image(given.unsafe))).score, found.score);
  assert.equal((await label.run(image(given.unsafe))).score, 'unsafe');
  assert.ok((await any.run(image(given.safe))).score < 0.5);
  assert.equal((await label.run(image(given.safe))).score, 'safe');
});

test('undecided and failed are errors of a score, and words of the label', async () => {
  const made = real();
  for (const [url, word] of [[given.undecided, 'undecided'], [given.broken, 'failed']]) {
    await fails(made.SAFEJUDGE_SCORE.run(image(url)), /undecided|not_judged/);
    assert.equal((await made.SAFEJUDGE_LABEL.run(image(url))).score, word);
  }
  await fails(made[RULE].run(image(given.undecided)), /undecided/);
});

test('the server fetches no address that its operator has not listed', async () => {
  await fails(real().SAFEJUDGE_SCORE.run(image('http://169.254.169.254/latest')), /not_judged/);
});

test('a wrong key, no key and no server are errors, and the label is failed', async () => {
  const { server } = await stub(says({}));
  const gone = { serverUrl: `http://127.0.0.1:${server.address().port}` };
  await new Promise((closed) => server.close(closed));
  for (const [config, says] of [
    [{ serverUrl: given.url, apiKey: 'wrong' }, /status 401/],
    [{ serverUrl: given.url }, /status 401/],
    [gone, /no answer/],
    [{}, /no server/],
    [undefined, /no server/],
    [{ serverUrl: 'file:///etc/passwd' }, /http/],
    [{ serverUrl: 'http://me:secret@127.0.0.1' }, /without a key/],
  ]) {
    const made = signals(config);
    await fails(made.SAFEJUDGE_SCORE.run(image(given.unsafe)), says);
    assert.equal((await made.SAFEJUDGE_LABEL.run(image(given.unsafe))).score, 'failed');
  }
});

test('an org without a server has the signals disabled', async () => {
  assert.equal((await real().SAFEJUDGE_SCORE.getDisabledInfo('org')).disabled, false);
  const told = await signals(undefined).SAFEJUDGE_SCORE.getDisabledInfo('org');
  assert.equal(told.disabled, true);
  assert.match(told.disabledMessage, /address/);
});

test('a server that never answers ends with the time of the org', async () => {
  const { config } = await stub(() => {});
  const { SAFEJUDGE_SCORE: any } = signals({ ...config, timeoutSeconds: '0.05' });
  await fails(any.run(image(given.unsafe)), /no answer \(TimeoutError\)/);
});

test('a redirect is not followed, so the key goes nowhere else', async () => {
  const other = await stub(says(reply()));
  const { config } = await stub((response) =>
    response.writeHead(307, { location: `${other.config.serverUrl}/v1/judge` }).end(),
  );
  await fails(signals({ ...config, apiKey: 'secret' }).SAFEJUDGE_SCORE.run(image('x')), /no answer/);
  assert.equal(other.server.asked, 0);
});

for (const [name, content] of Object.entries({
  'nothing': {},
  'no coverage': { results: reply().results },
  'an image that was not looked at': reply({ coverage: { judged: 0 } }),
  'one that failed': reply({ coverage: { failed: 1 } }),
  'no result': { ...reply(), results: [] },
  'a failure in its place': { ...reply(), results: [{ error: { reason: 'unreadable' } }] },
  'no label': reply({ record: { label: undefined } }),
  'a text for a score': reply({ record: { score: '0', rules: { [given.rule]: { outcome: 'violated', score: '0' } } } }),
  'no score': reply({ record: { score: null, rules: { [given.rule]: { outcome: 'violated', score: null } } } }),
  'a score beyond 1': reply({ record: { score: 2, rules: { [given.rule]: { outcome: 'violated', score: 2 } } } }),
  'a safe image of which frames were not seen': reply({
    coverage: { frames_unseen: 3 },
    record: { label: 'safe', score: 0.1, rules: { [given.rule]: { outcome: 'not_violated', score: 0.1 } } },
  }),
})) {
  test(`a reply with ${name} is no score`, async () => {
    const { config } = await stub(says(content));
    const made = signals(config);
    await fails(made.SAFEJUDGE_SCORE.run(image('x')), /./);
    await fails(made[RULE].run(image('x')), /./);
    assert.notEqual((await made.SAFEJUDGE_LABEL.run(image('x'))).score, 'safe');
  });
}

test('a rule that was skipped scores 0; one that the server does not have is an error', async () => {
  const skipped = { label: 'safe', score: null, rules: { [given.rule]: { outcome: 'not_relevant', score: null } } };
  const made = signals((await stub(says(reply({ record: skipped })))).config);
  assert.equal((await made[RULE].run(image('x'))).score, 0);
  const without = signals((await stub(says(reply({ record: { rules: {} } })))).config);
  await fails(without[RULE].run(image('x')), /no rule/);
});

test('scores of another model than that of the card are refused, since thresholds mean nothing', async () => {
  const made = signals((await stub(says(reply({ coverage: { revision: 'other' } })))).config);
  await fails(made[RULE].run(image('x')), /make the card anew/);
  assert.equal((await made.SAFEJUDGE_SCORE.run(image('x'))).score, 0.9);
});

test('signals of one image ask once, and a failure is asked again', async () => {
  const { server, config } = await stub(says(reply()));
  const made = signals(config);
  const all = Object.keys(made).filter((type) => !type.startsWith('SAFEJUDGE_RULE_') || type === RULE);
  await Promise.all(all.map((type) => made[type].run(image('x'))));
  await made[RULE].run(image('x'));
  assert.equal(server.asked, 1);
  await made[RULE].run(image('y'));
  assert.equal(server.asked, 2);
  const failing = await stub(says({ error: { code: 'busy', message: 'busy' } }, 503));
  const { SAFEJUDGE_SCORE: any } = signals(failing.config);
  await fails(any.run(image('x')), /busy/);
  await fails(any.run(image('x')), /busy/);
  assert.equal(failing.server.asked, 2);
});

test('what is no image is an error', async () => {
  const { SAFEJUDGE_SCORE: any } = real();
  for (const input of [undefined, {}, { value: { type: 'STRING', value: 'x' }, orgId: 'org' },
    { value: { type: 'IMAGE', value: {} }, orgId: 'org' }]) {
    await fails(any.run(input), /images/);
  }
});
