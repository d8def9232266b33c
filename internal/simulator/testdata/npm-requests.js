// SPDX-License-Identifier: Apache-2.0
//
// Records the requests of npm-requests.json, which TestOfficialJavaScriptClients sends to the simulator:
//
//	npm install @alicloud/alb20200616@1.3.2 @alicloud/openapi-core@1.0.8
//	node npm-requests.js > npm-requests.json
//
// With the URL of a simulator as an argument, the calls go there instead, and their responses are printed.

const http = require('http');
const { default: Alb, ListListenersRequest, GetListenerHealthStatusRequest } = require('@alicloud/alb20200616');
const core = require('@alicloud/openapi-core');
const { Config, Params, OpenApiRequest } = core.$OpenApiUtil;

// nlb makes a call with the vendor's core: there is no client of NLB on npm.
function nlb(config, action, request) {
  const params = new Params({
    action, version: '2022-04-30', protocol: 'HTTP', pathname: '/', method: 'POST', authType: 'AK', style: 'RPC',
    reqBodyType: 'formData', bodyType: 'json',
  });
  return new core.default(config).callApi(params, new OpenApiRequest(request), {});
}

// calls makes each call with the signature in headers (the default), or in the query (v2).
async function calls(endpoint, signatureAlgorithm) {
  const config = () => new Config({
    accessKeyId: 'LTAIexample', accessKeySecret: 'example-secret', regionId: 'cn-hangzhou', protocol: 'HTTP', endpoint, signatureAlgorithm,
  });
  const alb = new Alb(config());
  return [
    await alb.listListeners(new ListListenersRequest({ loadBalancerIds: ['alb-web', 'alb none'], maxResults: 2 })),
    await alb.getListenerHealthStatus(new GetListenerHealthStatusRequest({ listenerId: 'lsn-web-https-443', includeRule: true })),
    await nlb(config(), 'ListServerGroups', { query: { RegionId: 'cn-hangzhou' }, body: { ServerGroupIds: ['sgp-web'], MaxResults: 5 } }),
    await nlb(config(), 'GetListenerHealthStatus', { query: { ListenerId: 'lsn-web-tcp@80' } }),
  ];
}

async function record() {
  const seen = [];
  const server = http.createServer((request, response) => {
    let body = '';
    request.on('data', (data) => { body += data; });
    request.on('end', () => {
      const { connection, 'content-length': length, 'transfer-encoding': encoding, ...headers } = request.headers;
      seen.push({ method: request.method, url: request.url, headers, body });
      response.setHeader('Content-Type', 'application/json');
      response.end('{"RequestId":"none"}');
    });
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  const endpoint = `127.0.0.1:${server.address().port}`;
  await calls(endpoint, undefined);
  await calls(endpoint, 'v2');
  server.close();
  return seen;
}

async function main(url) {
  if (!url) {
    return record();
  }
  const endpoint = url.replace('http://', '');
  return [...await calls(endpoint, undefined), ...await calls(endpoint, 'v2')].map((response) => response.body);
}

main(process.argv[2]).then((result) => { process.stdout.write(`${JSON.stringify(result, null, 1)}\n`); });
