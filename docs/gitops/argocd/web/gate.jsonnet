// SPDX-License-Identifier: Apache-2.0

// The gate: the next wave starts when three of four backends are normal, by an
// answer from after this revision was applied. Argo CD fills the revision in
// (application.yaml); another one is another request.
{
  apiVersion: 'slb.lbhealth.dev/v1alpha1',
  kind: 'LoadBalancerHealth',
  metadata: {
    name: 'web',
    annotations: {
      'argocd.argoproj.io/sync-wave': '1',
      'slb.lbhealth.dev/observe-requested-at': std.extVar('revision'),
    },
  },
  spec: {
    loadBalancerId: 'lb-demo-web',  // real ones look like lb-bp1qjwo61pqz3ahltv0mw
    regionId: 'cn-hangzhou',
    listenerPort: 443,
    interval: '10s',
    healthPolicy: { minHealthy: '75%' },
  },
}
