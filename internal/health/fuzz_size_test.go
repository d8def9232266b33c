// SPDX-License-Identifier: Apache-2.0

package health

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/alicloud/clb"
)

const (
	// etcdLimit is etcd's limit of one request, and headroom is for the API server
	// and other writers.
	etcdLimit = 1536 << 10
	headroom  = 200 << 10
	// longestMessage is far less than the schema allows.
	longestMessage = 1500
)

// FuzzStatusFits serves responses of many similar rows to the real client. It
// checks the resulting object against the CRD's schema, etcd's limit and counts
// of its own. A # in the row is replaced by its number.
func FuzzStatusFits(f *testing.F) {
	for _, row := range []string{
		`{"ServerId":"i-#","ServerIp":"10.0.0.1","ListenerPort":443,"Protocol":"https","Port":8443,"ServerHealthStatus":"normal"}`,
		`{"ServerId":"i-bp1do02x7n4nua4k#","ServerIp":"fd00:1234:5678:9abc:def0:1234:5678:9abc","EniHost":"fd00:1234:5678:9abc:def0:1234:5678:9abd","Type":"eni","ListenerPort":65535,"Protocol":"https","Port":65535,"ServerHealthStatus":"abnormal"}`,
		`{"ServerId":"i-1","ListenerPort":#,"Protocol":"tcp","ServerHealthStatus":"unavailable"}`,
		`{"ServerId":"#` + strings.Repeat("<", 127) + `","ServerIp":"` + strings.Repeat("&", 128) + `","Type":"` + strings.Repeat(">", 128) + `","EniHost":"` + strings.Repeat(`\"`, 128) + `","Protocol":"` + strings.Repeat(`\\`, 128) + `","ServerHealthStatus":"` + strings.Repeat("<", 128) + `"}`,
		`{"ServerId":"i-1","ListenerPort":#,"Protocol":"` + strings.Repeat("<", 128) + `","ServerHealthStatus":"#"}`,
		`{"ServerId":"#","ServerHealthStatus":"` + strings.Repeat("服", 99) + `"}`,
		`{"ServerId":"#","ServerHealthStatus":"normal"},{"ServerId":"#","ServerHealthStatus":"abnormal"},{"ServerId":"x#","ServerHealthStatus":"draining"}`,
		`{}`,
	} {
		f.Add(row, uint16(1), uint16(499))
		f.Add(row, uint16(900), uint16(4999))
	}
	var response atomic.Value
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(response.Load().([]byte))
	}))
	f.Cleanup(server.Close)
	endpoint, err := alicloud.ParseEndpoint(server.URL, alicloud.NetworkInternet)
	if err != nil {
		f.Fatal(err)
	}
	caller, err := alicloud.NewCaller(alicloud.CallerOptions{Endpoint: endpoint, Timeout: time.Minute, Concurrency: 1})
	if err != nil {
		f.Fatal(err)
	}
	schema := schemaOf(f)
	f.Fuzz(func(t *testing.T, row string, n, limit uint16) {
		response.Store(repeatedRows(row, int(n)))
		observation, err := clb.NewClient(caller).DescribeHealthStatus(t.Context(), alicloud.Request{
			Target:      alicloud.Target{RegionID: "cn-hangzhou", LoadBalancerID: "lb-web"},
			Credentials: alicloud.Credentials{AccessKeyID: "LTAI5tFuzzFuzzFuzz0042", AccessKeySecret: "secret"},
		})
		env := newEnv(t)
		env.options.MaxBackends = 1 + int(limit)%5000
		if failure, ok := errors.AsType[*alicloud.Error](err); ok {
			env.fail(failure.Kind, failure.Message)
		} else {
			if limit%2 == 1 { // the longest possible names
				env.locations = longLocations(observation.Backends)
			}
			env.observeRows(observation.Backends)
			checkBound(t, observation.Backends, &env.object.Status, env.options.MaxBackends)
		}
		checkFits(t, env.object, schema)
	})
}

func repeatedRows(row string, n int) []byte {
	const maxSize = 4 << 20
	var all strings.Builder
	all.WriteString(`{"RequestId":"365F4154-92F6-4AE4-92F8-7FF34B540710","BackendServers":{"BackendServer":[`)
	for i := 0; i < n && all.Len() < maxSize; i++ {
		if i > 0 {
			all.WriteByte(',')
		}
		all.WriteString(strings.ReplaceAll(row, "#", strconv.Itoa(i)))
	}
	all.WriteString(`]}}`)
	return []byte(all.String())
}

// checkBound counts the rows again, and checks that the worse rows are kept first.
func checkBound(t *testing.T, rows []alicloud.Backend, status *v1alpha1.LoadBalancerHealthStatus, limit int) {
	t.Helper()
	var all, kept [classes]int32
	for _, state := range statesOf(rows, &v1alpha1.LoadBalancerHealthSpec{}) {
		all[classOf(state)]++
	}
	for i := range status.Backends {
		kept[classOf(status.Backends[i].ServerHealthStatus)]++
	}
	want := v1alpha1.Counts{
		Backends: all[normal] + all[abnormal] + all[unavailable],
		Normal:   all[normal], Abnormal: all[abnormal], Unavailable: all[unavailable],
	}
	switch {
	case status.Summary.Counts != want:
		t.Fatalf("counted %+v, want %+v", status.Summary.Counts, want)
	case len(status.Backends) > limit:
		t.Fatalf("%d rows, the limit is %d", len(status.Backends), limit)
	case int32(len(status.Backends))+status.OmittedBackends != want.Backends:
		t.Fatalf("%d rows and %d omitted, want %d together", len(status.Backends), status.OmittedBackends, want.Backends)
	case kept[abnormal] < all[abnormal] && kept[unavailable]+kept[normal] > 0, kept[unavailable] < all[unavailable] && kept[normal] > 0:
		t.Fatalf("kept %v of %v: worse rows are omitted for better ones", kept, all)
	}
}

// checkFits checks an object against the schema and etcd's limit.
func checkFits(t *testing.T, object *v1alpha1.LoadBalancerHealth, schema validation.SchemaValidator) {
	t.Helper()
	data, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > etcdLimit-headroom {
		t.Fatalf("an object of %d bytes, with %d listeners and %d rows", len(data), len(object.Status.Listeners), len(object.Status.Backends))
	}
	var document map[string]any
	if err := json.Unmarshal(data, &document); err != nil {
		t.Fatal(err)
	}
	if problems := validation.ValidateCustomResource(nil, document, schema); len(problems) > 0 {
		t.Fatalf("the schema refuses it: %v", problems.ToAggregate())
	}
	for _, c := range object.Status.Conditions {
		if len(c.Message) > longestMessage {
			t.Fatalf("a message of %d bytes: %s", len(c.Message), c.Message)
		}
	}
}

func schemaOf(tb testing.TB) validation.SchemaValidator {
	tb.Helper()
	files, err := filepath.Glob("../../config/crd/bases/*.yaml")
	if err != nil || len(files) != 1 {
		tb.Fatalf("the CRD: %v, %v", files, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		tb.Fatal(err)
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(data, &crd); err != nil {
		tb.Fatal(err)
	}
	var internal apiextensions.JSONSchemaProps
	external := crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(external, &internal, nil); err != nil {
		tb.Fatal(err)
	}
	schema, _, err := validation.NewSchemaValidator(&internal)
	if err != nil {
		tb.Fatal(err)
	}
	return schema
}

// A schema that accepts everything would make FuzzStatusFits pass always.
func TestSchemaRefusesAnInvalidStatus(t *testing.T) {
	schema := schemaOf(t)
	env := newEnv(t)
	env.observe("443/https na")
	checkFits(t, env.object, schema)
	env.object.Status.Conditions[0].Status = metav1.ConditionStatus("Perhaps")
	data, err := json.Marshal(env.object)
	if err != nil {
		t.Fatal(err)
	}
	var document map[string]any
	if err := json.Unmarshal(data, &document); err != nil {
		t.Fatal(err)
	}
	if problems := validation.ValidateCustomResource(nil, document, schema); len(problems) != 1 {
		t.Errorf("got %v", problems)
	}
}

func longLocations(rows []alicloud.Backend) Locations {
	locations := Locations{}
	for i := range rows {
		locations[LocationKey(rows[i].Type, rows[i].ServerID, rows[i].ServerIP)] = Location{Node: strings.Repeat("n", 253), Pod: strings.Repeat("p", 317), NodeNotReady: true}
	}
	return locations
}
