// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

func readValues(t *testing.T, path string) map[string]any {
	t.Helper()
	content := harness.ReadFile(t, path)
	values := map[string]any{}
	if err := yaml.UnmarshalStrict(content, &values); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return values
}

// flatten adds the values by their dotted names. A map whose keys are the user's
// own, such as labels, is one value: known reports the other maps.
func flatten(values map[string]any, prefix string, known func(path string) bool, found map[string]any) {
	for name, value := range values {
		path := prefix + name
		if inner, is := value.(map[string]any); is && known(path) {
			flatten(inner, path+".", known, found)
			continue
		}
		found[path] = value
	}
}

type valuesSchema struct {
	Ref                  string                  `json:"$ref"`
	Type                 any                     `json:"type"`
	AdditionalProperties any                     `json:"additionalProperties"`
	Properties           map[string]valuesSchema `json:"properties"`
	Definitions          map[string]valuesSchema `json:"definitions"`
}

// properties are the names that the schema gives, the maps with names of their own as false.
func (s valuesSchema) properties(definitions map[string]valuesSchema, prefix string, found map[string]bool) {
	for name, property := range s.Properties {
		if reference, is := strings.CutPrefix(property.Ref, "#/definitions/"); is {
			property = definitions[reference]
		}
		found[prefix+name] = len(property.Properties) == 0
		property.properties(definitions, prefix+name+".", found)
	}
}

func readSchema(t *testing.T) map[string]bool {
	t.Helper()
	content := harness.ReadFile(t, filepath.Join(chartFolder, "values.schema.json"))
	var s valuesSchema
	if err := json.Unmarshal(content, &s); err != nil {
		t.Fatal(err)
	}
	demandStrict(t, "values", s)
	found := map[string]bool{}
	s.properties(s.Definitions, "", found)
	return found
}

// demandStrict demands that where there are names, there are no others.
func demandStrict(t *testing.T, path string, s valuesSchema) {
	t.Helper()
	if len(s.Properties) > 0 && s.AdditionalProperties != false && path != "values.global" {
		t.Errorf("%s accepts any name: set additionalProperties to false", path)
	}
	for name, property := range s.Properties {
		demandStrict(t, path+"."+name, property)
	}
}

// TestSchemaNamesEveryValue compares values.yaml and its schema.
func TestSchemaNamesEveryValue(t *testing.T) {
	named := readSchema(t)
	values := map[string]any{}
	flatten(readValues(t, filepath.Join(chartFolder, "values.yaml")), "", func(path string) bool {
		leaf, is := named[path]
		return is && !leaf
	}, values)
	for path := range values {
		if !named[path] {
			t.Errorf("values.yaml has %s, which the schema does not know", path)
		}
	}
	for path, leaf := range named {
		if _, there := values[path]; leaf && !there && path != "resources.claims" {
			t.Errorf("the schema has %s, which values.yaml does not explain", path)
		}
	}
}

// TestEveryValueIsTried demands that some mode changes each value, because the other
// tests use the modes.
func TestEveryValueIsTried(t *testing.T) {
	named := readSchema(t)
	known := func(path string) bool {
		leaf, is := named[path]
		return is && !leaf
	}
	untried := map[string]any{}
	flatten(readValues(t, filepath.Join(chartFolder, "values.yaml")), "", known, untried)
	delete(untried, "enabled") // TestUmbrella sets it
	for _, mode := range modes(t)[1:] {
		tried := map[string]any{}
		flatten(readValues(t, filepath.Join("testdata", mode+".yaml")), "", known, tried)
		maps.DeleteFunc(untried, func(path string, value any) bool {
			other, is := tried[path]
			return is && !reflect.DeepEqual(other, value)
		})
	}
	if len(untried) > 0 {
		t.Errorf("no file in testdata sets %q", slices.Sorted(maps.Keys(untried)))
	}
}

func TestLint(t *testing.T) {
	t.Parallel()
	for _, mode := range modes(t) {
		args := []string{"lint", "--strict", chartFolder}
		if mode != "" {
			args = append(args, "--values", filepath.Join("testdata", mode+".yaml"))
		}
		if _, err := helm(t, args...); err != nil {
			t.Errorf("%q: %v", mode, err)
		}
	}
}

// TestBadValuesAreRefused demands a message that names the value.
func TestBadValuesAreRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ json, says string }{
		{`{"replica": 3}`, "replica"},
		{`{"image": {"tags": "v1"}}`, "tags"},
		{`{"image": {"tag": 1.2}}`, "tag"},
		{`{"image": {"digest": "0123"}}`, "digest"},
		{`{"metrics": {"serviceMonitor": {"enable": true}}}`, "enable"},
		{`{"replicas": "2"}`, "replicas"},
		{`{"replicas": -1}`, "replicas"},
		{`{"slb": {"qps": 0}}`, "qps"},
		{`{"slb": {"burst": 1.5}}`, "burst"},
		{`{"slb": {"network": "wifi"}}`, "network"},
		{`{"slb": {"endpoint": "slb.example:443"}}`, "endpoint"},
		{`{"slb": {"timeout": 10}}`, "timeout"},
		{`{"slb": {"network": "vpc", "endpoint": "https://slb.example"}}`, "slb.endpoint"},
		{`{"slb": {"network": "vpc"}, "identity": {"type": "rrsa", "rrsa": {"roleName": "r"}}}`, "identity.rrsa.stsRegion"},
		{`{"identity": {"type": "rrsa", "rrsa": {"roleName": "r", "stsRegion": "evil.example/"}}}`, "stsRegion"},
		{`{"serviceDiscovery": {"enabled": true, "regionId": "oss-cn-hangzhou"}}`, "regionId"},
		{`{"listenerDetails": "on"}`, "listenerDetails"},
		{`{"fastInterval": 5}`, "fastInterval"},
		{`{"status": {"maxBackends": 100000}}`, "maxBackends"},
		{`{"status": {"heartbeat": "5"}}`, "heartbeat"},
		{`{"concurrency": 0}`, "concurrency"},
		{`{"serviceDiscovery": {"enabled": true, "regionId": "Hangzhou"}}`, "regionId"},
		{`{"serviceDiscovery": {"regionId": "cn-hangzhou"}}`, "serviceDiscovery.enabled"},
		{`{"namespaced": true, "serviceDiscovery": {"enabled": true}}`, "serviceDiscovery.regionId"},
		{`{"serviceDiscovery": {"enabled": true, "monitor": "some"}}`, "monitor"},
		{`{"serviceDiscovery": {"monitor": "all"}}`, "serviceDiscovery.enabled"},
		{`{"log": {"level": "loud"}}`, "level"},
		{`{"watch": {"namespaces": ["Not_A_Name"]}}`, "namespaces"},
		{`{"leaderElectionId": "Not_A_Name"}`, "leaderElectionId"},
		{`{"identity": {"type": "key"}}`, "type"},
		{`{"identity": {"type": "rrsa"}}`, "roleName"},
		{`{"identity": {"type": "rrsa", "rrsa": {"roleArn": "acs:ram::1:role/r"}}}`, "oidcProviderArn"},
		{`{"identity": {"type": "rrsa", "rrsa": {"roleArn": "r"}}}`, "roleArn"},
		{`{"identity": {"type": "rrsa", "rrsa": {"roleName": "r", "roleArn": "acs:ram::1:role/r"}}}`, "roleName"},
		{`{"shards": [{"name": "a"}]}`, "shards"},
		{`{"shards": [{"name": "a", "selectors": "a=b"}]}`, "selectors"},
		{`{"shards": [{"name": "a", "selector": "a=b"}, {"name": "a", "selector": "a!=b"}]}`, "two are named a"},
		{`{"shards": [{"name": "a", "namespaces": ["x", "y"]}, {"name": "b", "namespaces": ["y", "x"]}]}`, "a and b serve the same"},
		{`{"shards": [{"name": "a", "selector": "a=b"}], "watch": {"selector": "a=b"}}`, "shards"},
		{`{"serviceAccount": {"create": false}}`, "serviceAccount.name"},
		{`{"namespaced": true, "metrics": {"certSecret": "tls"}}`, "metrics.certSecret"},
		{`{"namespaced": true, "metrics": {"serviceMonitor": {"enabled": true}}}`, "metrics.serviceMonitor.enabled"},
		{`{"metrics": {"enabled": false, "serviceMonitor": {"enabled": true}}}`, "metrics.serviceMonitor.enabled"},
		{`{"metrics": {"prometheusRule": {"slo": {"enabled": true}}}}`, "metrics.prometheusRule.enabled"},
		{`{"metrics": {"prometheusRule": {"enabled": true, "slo": {"enabled": true, "objective": 99.9}}}}`, "objective"},
		{`{"metrics": {"prometheusRule": {"enabled": true, "slo": {"enabled": true, "objective": "0.999"}}}}`, "objective"},
		{`{"metrics": {"serviceMonitor": {"authorization": {"credentials": {"name": "s", "key": "k"}}}}}`, "set create: false"},
		{`{"metrics": {"serviceMonitor": {"authorization": {"create": false, "credentials": {"name": "s"}}}}}`, "both name and key"},
		{`{"metrics": {"serviceMonitor": {"authorization": {"create": false, "credentials": {"file": "/token"}}}}}`, "file"},
		{`{"extraArgs": ["slb-qps=1"]}`, "extraArgs"},
		{`{"readinessGates": {"unknownTimeout": "5"}}`, "unknownTimeout"},
		{`{"namespaced": true, "readinessGates": {"enabled": true}}`, "namespaced: false"},
	} {
		t.Run(test.json, func(t *testing.T) {
			_, err := run(t, nil, []byte(test.json), helmPath(t), "template", release, chartFolder, "--values", "-")
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("it should be refused with %q: %v", test.says, err)
			}
		})
	}
}
