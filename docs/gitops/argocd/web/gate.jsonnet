// SPDX-License-Identifier: Apache-2.0

// The gate: the next wave starts when three of four backends are normal in an
// observation from after this revision was applied. Argo CD fills in the
// revision (application.yaml); another revision is another request.
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
    loadBalancerId: 'lb-demo-web',  // a real id is lb-bp1qjwo61pqz3ahltv0mw
    regionId: 'cn-hangzhou',
    listenerPort: 443,
    interval: '10s',
    healthPolicy: { minHealthy: '75%' },
  },
}
