// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

const (
	released = image + ":" + newVersion + "@" + digest
	ownImage = "registry.example.com/slb-health-operator:dev"
	mirror   = "example-registry.cn-hangzhou.cr.aliyuncs.com"

	needsRegistry  = "needs two registries"
	helmInstall    = `helm install slb-health-operator oci://`
	kustomizeApply = "kubectl apply --server-side -k"
	inShop         = " -n shop"
	inStore        = " -n store"
	newFile        = "kubectl apply --server-side -f $URL/" + newVersion + "/install.yaml"
)

// TestPages runs the commands of the pages about installing, on one API server.
func TestPages(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	older, newer := newCheckout(t).withOlderCRD(t), newCheckout(t)
	releases := t.TempDir()
	older.release(t, *c.shell, oldVersion, filepath.Join(releases, oldVersion))
	newer.release(t, *c.shell, newVersion, filepath.Join(releases, newVersion))
	url := serve(t, releases)
	c.shell.folder = string(newer)
	c.shell.environment = append(c.shell.environment, "URL="+url)
	c.shell.replaced = strings.NewReplacer(
		`oci://ghcr.io/lbhealth/charts/slb-health-operator --version "${VERSION#v}"`, url+`/$VERSION/slb-health-operator-${VERSION#v}.tgz`,
		"https://github.com/lbhealth/slb-health-operator/releases/download", url,
		"make docker-build", "make -n docker-build",
	)
	for _, p := range []*page{readmePage(c), installPage(c), upgradePage(c, older)} {
		t.Run(p.file, func(t *testing.T) {
			c.reset(t)
			p.run(t, c.shell)
		})
	}
}

func readmePage(c *cluster) *page {
	return &page{
		file: "README.md",
		notRun: map[string]string{
			"make demo":       "TestQuickStart runs it",
			"make test":       "this test is a part of it",
			"kubectl get lbh": "TestQuickStart compares the output of the demo",
			inShop:            "TestQuickStart runs it in the demo",
		},
		before: map[string]func(*testing.T){"kubectl apply": c.reset},
		after: map[string]func(*testing.T){
			helmInstall:                        c.installed(released),
			"kubectl apply --server-side -f h": c.installed(released),
			kustomizeApply:                     c.installed(image + ":" + newVersion),
		},
	}
}

func installPage(c *cluster) *page {
	return &page{
		file: "docs/install.md",
		notRun: map[string]string{
			"crane ": needsRegistry, "skopeo ": needsRegistry, "docker buildx": needsRegistry,
		},
		before: map[string]func(*testing.T){
			"kubectl label namespace":  func(t *testing.T) { t.Helper(); c.mustRun(t, newFile) },
			"kubectl create namespace": c.reset,
			"-f https":                 c.reset,
			kustomizeApply:             c.reset,
			"<<'END'":                  c.startOperator,
			" charts/slb-health":       c.reset,
			"-f dist/install.yaml":     c.reset,
			"make deploy":              c.reset,
			"helm pull":                c.reset,
			"curl ":                    c.reset,
		},
		after: map[string]func(*testing.T){
			helmInstall:                    c.installed(released),
			"-f https":                     c.installed(released),
			kustomizeApply:                 c.installed(image + ":" + newVersion),
			" charts/slb-health":           c.installed(ownImage),
			"-f dist/install.yaml":         c.installed(ownImage),
			"make deploy":                  c.installed(ownImage),
			"--set global.imageRegistry":   c.installed(strings.Replace(released, "ghcr.io", mirror, 1)),
			`sed "s|image: ghcr.io/|image`: c.installed(strings.Replace(released, "ghcr.io", mirror, 1)),
		},
	}
}

// startOperator runs the operator for the load balancer that docs/install.md names.
func (c *cluster) startOperator(t *testing.T) {
	bin, err := filepath.Abs(filepath.Join(root, "bin"))
	if err != nil {
		t.Fatal(err)
	}
	e := &harness.Env{Ctx: t.Context(), Folder: t.TempDir(), Bin: bin, Plane: c.ControlPlane}
	if e.Certificate, err = harness.NewCertificate(e.Folder, 0); err != nil {
		t.Fatal(err)
	}
	if e.Simulator, err = harness.StartSimulator(e.Ctx, e.Folder, filepath.Join(bin, "slb-simulator"), e.Certificate, "loadBalancers: []\n"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Simulator.Stop)
	e.Put(t, "lb-bp1qjwo61pqz3ahltv0mw", harness.Backends(443, "https", "normal", "abnormal")...)
	e.StartOperator(t, "operator", "LTAI-example", "example-secret", "--metrics-bind-address=0")
}

// upgradePage checks that each upgrade and rollback changes the CRD and keeps the object.
func upgradePage(c *cluster, older checkout) *page {
	var kept func(t *testing.T)
	var columns int
	from := func(install string) func(t *testing.T) {
		return func(t *testing.T) {
			t.Helper()
			c.reset(t)
			c.mustRun(t, install)
			kept, columns = c.create(t), c.columns(t)
		}
	}
	changed := func(by int, image string) func(t *testing.T) {
		return func(t *testing.T) {
			t.Helper()
			c.installed(image)(t)
			kept(t)
			if got := c.columns(t); got != columns+by {
				t.Errorf("the CRD has %d columns, not %d", got, columns+by)
			}
		}
	}
	uninstalled := func(t *testing.T) { t.Helper(); c.uninstalled(t); kept(t) }
	gone := func(t *testing.T) { t.Helper(); c.uninstalled(t); c.gone(t) }
	oldRelease := "$URL/" + oldVersion
	withoutOperator := func(t *testing.T) {
		t.Helper()
		c.kubectl(t, "delete namespace/"+namespace)
		c.kubectl(t, "delete clusterrole,clusterrolebinding -l "+oursLabel)
	}
	return &page{
		file: "docs/upgrade.md",
		notRun: map[string]string{
			"kubectl patch application": "needs Argo CD", "kubectl delete application": "needs Argo CD",
			"kubectl delete helmrelease": "needs Flux",
		},
		before: map[string]func(*testing.T){
			"helm upgrade slb":                          from("helm install slb-health-operator " + oldRelease + "/slb-health-operator-0.0.9.tgz -n " + namespace + " --create-namespace"),
			"kubectl apply --server-side -f https":      from("kubectl apply --server-side -f " + oldRelease + "/install.yaml"),
			kustomizeApply:                              from("kubectl apply --server-side -k " + older.path(overlayFolder)),
			"kubectl delete --ignore-not-found -f http": func(t *testing.T) { t.Helper(); c.mustRun(t, newFile) },
			"--force-conflicts -f https":                from("helm install slb-health-operator " + oldRelease + "/slb-health-operator-0.0.9.tgz -n " + namespace + " --create-namespace && helm uninstall slb-health-operator -n " + namespace),
			"helm upgrade --install":                    withoutOperator,
			"kubectl annotate crd":                      func(t *testing.T) { t.Helper(); c.mustRun(t, newFile) },
		},
		after: map[string]func(*testing.T){
			"helm upgrade slb":                          changed(1, released),
			"helm rollback":                             changed(0, strings.Replace(released, newVersion, oldVersion, 1)),
			"helm uninstall":                            uninstalled,
			"kubectl apply --server-side -f https":      changed(1, released),
			"kubectl delete clusterrole":                uninstalled,
			"--force-conflicts -f https":                changed(1, released),
			"helm upgrade --install":                    changed(1, released),
			"kubectl delete --ignore-not-found -f http": gone,
			kustomizeApply:                              changed(1, image+":"+newVersion),
			"kubectl delete --ignore-not-found -k":      gone,
			"kubectl delete crd":                        c.gone,
		},
	}
}
