// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/test/harness"
)

// storageFaultCases break the control plane of faultEnv.storage, one at a time.
var storageFaultCases = []faultCase{
	{"api-server-restarts", "", "", onStorage(meetsARestartOf(func(a *faultEnv) harness.Program { return a.plane.APIServer() }))},
	{"etcd-restarts", "", "", onStorage(meetsARestartOf(func(a *faultEnv) harness.Program { return a.plane.Etcd() }))},
	{"etcd-is-slow", "", "", onStorage(meetsSlowEtcd)},
	{"etcd-is-full", "", "", onStorage(meetsFullEtcd)},
	{"crd-is-removed", "", "", onStorage(losesTheCRD)},
}

const storageNamespace = "storage"

// requestSlack is the timeout of a request to Kubernetes.
const requestSlack = 10 * time.Second

// newBreakableEnv returns an env with a relay between its API server and its etcd.
func newBreakableEnv(t *testing.T) *faultEnv {
	t.Helper()
	address := harness.FreeAddressFor(t)
	etcd := harness.OpenRelayFor(t, address)
	a := newFaultEnv(t, harness.ControlPlaneOptions{
		EtcdAddress:   address,
		APIServerArgs: map[string][]string{"etcd-servers": {"http://" + etcd.Address}},
	})
	a.etcd = etcd
	a.createNamespace(t, storageNamespace)
	a.main = a.startOperator(t, a.options(storageNamespace))
	return a
}

// onStorage runs a test with exclusive use of faultEnv.storage.
func onStorage(prove func(*testing.T, *faultEnv, faultCase)) func(*testing.T, *faultEnv, faultCase) {
	return func(t *testing.T, a *faultEnv, o faultCase) {
		a.storage.exclusive.Lock()
		defer a.storage.exclusive.Unlock()
		prove(t, a.storage, o)
	}
}

func meetsARestartOf(which func(*faultEnv) harness.Program) func(*testing.T, *faultEnv, faultCase) {
	return func(t *testing.T, a *faultEnv, o faultCase) {
		s := a.newSubject(t, storageNamespace, o.name)
		program := which(a)
		if err := program.Kill(); err != nil {
			t.Fatal(err)
		}
		s.show(twoRows("normal")...)
		s.awaitCalls(t, 2, 3*interval+requestSlack) // calls continue
		if err := program.Start(); err != nil {
			t.Fatal(err)
		}
		s.awaitTransition(t, "normal", requestSlack+interval+slack) // a write may be in flight
		s.finish(t, "abnormal")
	}
}

func meetsSlowEtcd(t *testing.T, a *faultEnv, o faultCase) {
	const lag = time.Second
	s := a.newSubject(t, storageNamespace, o.name)
	a.etcd.SetDelay(lag)
	t.Cleanup(func() { a.etcd.SetDelay(0) })
	s.slack = 4 * lag // two writes, each delayed in both directions
	s.transition(t, "normal")
	s.transition(t, "abnormal")
	a.etcd.SetDelay(0)
	s.slack = 0
	s.finish(t, "normal")
}

func meetsFullEtcd(t *testing.T, a *faultEnv, o faultCase) {
	s := a.newSubject(t, storageNamespace, o.name)
	a.alarm(t, "ACTIVATE")
	s.show(twoRows("normal")...)
	s.awaitCalls(t, 3, 4*interval+slack)
	a.alarm(t, "DEACTIVATE")
	s.awaitTransition(t, "normal", interval+slack)
	s.finish(t, "abnormal")
}

// alarm activates or deactivates etcd's alarm NOSPACE, with which it refuses writes.
func (a *faultEnv) alarm(t *testing.T, action string) {
	t.Helper()
	var cluster struct{ Members []struct{ ID string } }
	a.postEtcd(t, "cluster/member/list", map[string]any{}, &cluster)
	a.postEtcd(t, "maintenance/alarm", map[string]any{"action": action, "memberID": cluster.Members[0].ID, "alarm": "NOSPACE"}, &struct{}{})
}

func (a *faultEnv) postEtcd(t *testing.T, path string, in, out any) {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Post(a.plane.EtcdURL()+"/v3/"+path, "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d, %v: %s", path, response.StatusCode, err, content)
	}
	if err := json.Unmarshal(content, out); err != nil {
		t.Fatalf("%s: %v: %s", path, err, content)
	}
}

// losesTheCRD removes the CRD, and every object with it.
func losesTheCRD(t *testing.T, a *faultEnv, o faultCase) {
	s := a.newSubject(t, storageNamespace, o.name)
	a.kubectl(t, "delete", "-f", currentCRD, "--wait=true")
	for _, r := range s.objects {
		a.recorder.awaitDeletion(t, r.object)
		r.expected = append(r.expected, "deleted")
	}
	<-time.After(2 * interval) // there is no event to wait for: the operator has no object
	if !a.main.running() {
		t.Fatalf("the operator exited:\n%s", a.main.Tail())
	}
	a.kubectl(t, "create", "-f", currentCRD)
	a.kubectl(t, "wait", "--for=condition=Established", "crd/"+crdName, "--timeout=60s")
	for _, r := range s.objects {
		r.object.ResourceVersion, r.object.UID = "", ""
		r.object.Status = v1alpha1.LoadBalancerHealthStatus{}
	}
	s.create(t)
	s.follow(t, watchSlack+interval+slack, "the first observation", baseOf, twoRows("abnormal"))
	s.objects[1].events["Warning LoadBalancerUnhealthy"]++
	s.finish(t, "normal")
}
