// SPDX-License-Identifier: Apache-2.0
//
// Checks the simulator with Alibaba's JavaScript clients: every action of ALB and NLB with both signatures, pages, error
// codes and faults. It starts the simulator itself, and takes a few seconds:
//
//	npm install @alicloud/alb20200616@1.3.2 @alicloud/openapi-core@1.0.8
//	go build -o . ../../../cmd/slb-simulator
//	node npm-checks.js ./slb-simulator

const assert = require('assert');
const fs = require('fs');
const os = require('os');
const path = require('path');
const { spawn } = require('child_process');
const alb = require('@alicloud/alb20200616');
const core = require('@alicloud/openapi-core');
const { Config, Params, OpenApiRequest } = core.$OpenApiUtil;

// servers are normal, but for the last ones of a group.
const servers = (n, ...last) => [...Array(n).keys()].map((i) => ({ serverId: `i-${i}`, serverIp: `10.0.0.${i}`, port: 80, ...last[i - n + last.length] }));
const failing = { healthStatus: 'Unhealthy', reasonCode: 'CONNECT_TIMEOUT' };
const mismatch = { healthStatus: 'Unhealthy', reasonCode: 'RESPONSE_MISMATCH', actualResponse: '302', expectedResponse: 'HTTP_2xx' };
const regionId = 'cn-hangzhou';
const product = (loadBalancerId, listeners, groups) => ({
  loadBalancers: [{ loadBalancerId, regionId, listeners }],
  serverGroups: Object.entries(groups).map(([serverGroupId, list]) => ({ serverGroupId, regionId, servers: list })),
});
const file = {
  accounts: [{ accessKeyId: 'LTAIexample', accessKeySecret: 'example-secret' }],
  nlb: product('nlb-web', [{ listenerPort: 80, listenerProtocol: 'TCP', serverGroupIds: ['sgp-web'] }], { 'sgp-web': servers(130, ...Array(120).fill(failing), { weight: 0 }) }),
  alb: product('alb-web', [
    { listenerPort: 443, listenerProtocol: 'HTTPS', serverGroupIds: ['sgp-web'], rules: [{ ruleId: 'rule-1', serverGroupIds: ['sgp-shop'], mirrorServerGroupIds: ['sgp-web'] }] },
    { listenerPort: 80, listenerProtocol: 'HTTP', serverGroupIds: ['sgp-many'] },
    { listenerPort: 443, listenerProtocol: 'QUIC', serverGroupIds: ['sgp-web'] },
  ], { 'sgp-web': servers(1), 'sgp-shop': servers(2, mismatch, { weight: 0 }), 'sgp-many': servers(130, ...Array(120).fill(failing)) }),
};

let checks = 0;
function equal(what, got, want) {
  checks++;
  assert.deepStrictEqual(got, want, `${what}: ${JSON.stringify(got)}`);
}

async function fails(what, call, code, status) {
  const error = await call.then(() => ({}), (e) => e);
  equal(what, [error.code, error.statusCode], [code, status]);
}

// pages reads every page, and returns their sizes and the number of different items.
async function pages(read, itemsOf) {
  const sizes = [], all = new Set();
  let token;
  do {
    const page = await read(token), items = itemsOf(page);
    sizes.push(items.length);
    items.forEach((item) => all.add(item));
    token = page.nextToken || page.NextToken;
  } while (token);
  return [sizes, all.size];
}

// clients sign in headers by default, and in the query with the algorithm v2.
function clients(endpoint, signatureAlgorithm, accessKeyId, accessKeySecret) {
  const config = () => new Config({ accessKeyId, accessKeySecret, regionId, protocol: 'HTTP', endpoint, signatureAlgorithm });
  const client = new alb.default(config());
  return {
    alb: (action, request) => client[action[0].toLowerCase() + action.slice(1)](new alb[action + 'Request'](request)).then((r) => r.body),
    // There is no client of NLB on npm: this is what the vendor's generator writes for ALB.
    nlb: (action, query, body) => new core.default(config()).callApi(new Params({
      action, version: '2022-04-30', protocol: 'HTTP', pathname: '/', method: 'POST', authType: 'AK', style: 'RPC', reqBodyType: 'formData', bodyType: 'json',
    }), new OpenApiRequest({ query: core.OpenApiUtil.query(query), body }), {}).then((r) => r.body),
  };
}

async function checkALB(call) {
  equal('listeners', await pages((nextToken) => call('ListListeners', { loadBalancerIds: ['alb-web'], maxResults: 2, nextToken }),
    (p) => p.listeners.map((l) => `${l.listenerPort}/${l.listenerProtocol}`)), [[2, 1], 3]);
  const { listeners } = await call('ListListeners', { loadBalancerIds: ['alb-web'] });
  const idOf = (protocol) => listeners.find((l) => l.listenerProtocol === protocol).listenerId;
  equal('no load balancer', (await call('ListListeners', { loadBalancerIds: ['alb-none'] })).listeners, []);
  const { serverGroups } = await call('ListServerGroups', { serverGroupIds: ['sgp-web', 'sgp-shop', 'sgp-none'] });
  equal('groups', serverGroups.map((g) => [g.serverGroupId, g.serverCount, g.healthCheckConfig.healthCheckEnabled]).sort(), [['sgp-shop', 2, true], ['sgp-web', 1, true]]);
  equal('members', await pages((nextToken) => call('ListServerGroupServers', { serverGroupId: 'sgp-many', maxResults: 100, nextToken }), (p) => p.servers.map((s) => s.serverId)), [[100, 30], 130]);
  equal('health without rules', (await call('GetListenerHealthStatus', { listenerId: idOf('HTTPS') })).ruleHealthStatus, undefined);
  const { ruleHealthStatus } = await call('GetListenerHealthStatus', { listenerId: idOf('HTTPS'), includeRule: true });
  const shop = ruleHealthStatus[0].serverGroupInfos.find((g) => g.serverGroupId === 'sgp-shop');
  equal('rule', shop.nonNormalServers.map((s) => [s.serverId, s.status, s.reason?.reasonCode, s.reason?.actualResponse]),
    [['i-0', 'Unhealthy', 'RESPONSE_MISMATCH', '302'], ['i-1', 'Unused', undefined, undefined]]);
  equal('health', await pages((nextToken) => call('GetListenerHealthStatus', { listenerId: idOf('HTTP'), maxResults: 30, nextToken }),
    (p) => p.listenerHealthStatus.flatMap((l) => l.serverGroupInfos).flatMap((g) => g.nonNormalServers).map((s) => s.serverId)), [[30, 30, 30, 30], 120]);
  equal('load balancer', (await call('GetLoadBalancerAttribute', { loadBalancerId: 'alb-web' })).loadBalancerId, 'alb-web');
  await fails('load balancer', call('GetLoadBalancerAttribute', { loadBalancerId: 'alb-none' }), 'ResourceNotFound.LoadBalancer', 404);
  await fails('listener', call('GetListenerHealthStatus', { listenerId: 'lsn-none' }), 'ResourceNotFound.Listener', 404);
  await fails('group', call('ListServerGroupServers', { serverGroupId: 'sgp-none' }), 'ResourceNotFound.ServerGroup', 404);
  await fails('page of 31', call('GetListenerHealthStatus', { listenerId: idOf('HTTP'), maxResults: 31 }), 'IllegalParam.MaxResults', 400);
  await fails('token', call('ListServerGroupServers', { serverGroupId: 'sgp-many', nextToken: 'x y/+=' }), 'IllegalParam.NextToken', 400);
}

async function checkNLB(call) {
  const { Listeners: [listener] } = await call('ListListeners', { RegionId: regionId, LoadBalancerIds: ['nlb-web'] });
  equal('listener', [listener.ListenerPort, listener.ListenerProtocol, listener.ServerGroupId], [80, 'TCP', 'sgp-web']);
  const { ServerGroups: [group] } = await call('ListServerGroups', { RegionId: regionId }, { ServerGroupIds: ['sgp-web'] });
  equal('group', [group.ServerGroupId, group.ServerCount], ['sgp-web', 130]);
  const ofPage = (NextToken) => ({ MaxResults: 100, ...(NextToken && { NextToken }) });
  equal('members', await pages((token) => call('ListServerGroupServers', { RegionId: regionId }, { ServerGroupId: 'sgp-web', ...ofPage(token) }),
    (p) => p.Servers.map((s) => `${s.ServerId} ${s.Weight}`)), [[100, 30], 130]);
  equal('health', await pages((token) => call('GetListenerHealthStatus', { RegionId: regionId, ListenerId: listener.ListenerId, ...ofPage(token) }),
    (p) => p.ListenerHealthStatus.flatMap((l) => l.ServerGroupInfos).flatMap((g) => g.NonNormalServers).map((s) => s.ServerId)), [[100, 20], 120]);
  await fails('load balancer', call('GetLoadBalancerAttribute', { LoadBalancerId: 'nlb-none' }), 'ResourceNotFound.loadBalancer', 404);
  await fails('listener', call('GetListenerHealthStatus', { ListenerId: 'lsn-none@80' }), 'ResourceNotFound.listener', 404);
  await fails('group', call('ListServerGroupServers', {}, { ServerGroupId: 'sgp-none' }), 'ResourceNotFound.serverGroup', 404);
  await fails('token in a form', call('ListServerGroupServers', {}, { ServerGroupId: 'sgp-web', NextToken: 'x y/+=' }), 'IllegalParam.NextToken', 400);
}

async function checkFaults(url, ok) {
  const rule = { times: 1, kind: 'status', httpStatus: 400, code: 'Rejected.Throttling', message: 'Rejected.' };
  const faults = [{ kind: 'throttle', product: 'alb', times: 1 }, { ...rule, product: 'nlb', action: 'ListServerGroups' }];
  equal('faults', (await fetch(`${url}/admin/v1/faults`, { method: 'PUT', body: JSON.stringify({ faults }) })).status, 200);
  await fails('throttled', ok.alb('ListListeners', { loadBalancerIds: ['alb-web'] }), 'Throttling.User', 400);
  await fails('rejected', ok.nlb('ListServerGroups', {}, { ServerGroupIds: ['sgp-web'] }), 'Rejected.Throttling', 400);
}

async function checkAll(url) {
  const endpoint = url.replace('http://', '');
  for (const algorithm of [undefined, 'v2']) {
    const ok = clients(endpoint, algorithm, 'LTAIexample', 'example-secret');
    await checkALB(ok.alb);
    await checkNLB(ok.nlb);
    await checkFaults(url, ok);
    const wrong = clients(endpoint, algorithm, 'LTAIexample', 'another-secret');
    await fails('signature', wrong.alb('ListListeners', { loadBalancerIds: ['alb-web'] }), 'SignatureDoesNotMatch', 400);
    await fails('signature of a form', wrong.nlb('ListServerGroups', {}, { ServerGroupIds: ['sgp-web'] }), 'SignatureDoesNotMatch', 400);
    const unknown = clients(endpoint, algorithm, 'LTAIunknown', 'example-secret');
    await fails('key', unknown.alb('ListListeners', { loadBalancerIds: ['alb-web'] }), 'InvalidAccessKeyId.NotFound', 404);
  }
}

async function main(program) {
  const config = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'npm-checks-')), 'slb.yaml');
  fs.writeFileSync(config, JSON.stringify(file)); // JSON is YAML
  const simulator = spawn(program, ['--listen', '127.0.0.1:0', '--config', config], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    const url = await new Promise((resolve, reject) => {
      simulator.on('error', reject).on('exit', (code) => reject(new Error(`the simulator ended with ${code}`)));
      simulator.stdout.on('data', (data) => { const found = /http:\S+/.exec(data); if (found) resolve(found[0]); });
    });
    await checkAll(url);
    console.log(`${checks} checks passed`);
  } finally {
    simulator.kill();
    fs.rmSync(path.dirname(config), { recursive: true });
  }
}

main(process.argv[2]).catch((error) => { console.error(error.message || error); process.exitCode = 1; });
