// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

func TestControlPlane(t *testing.T) {
	t.Parallel()

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c, err := StartControlPlane(ctx, ControlPlaneOptions{
		CRDs:          []string{},
		APIServerArgs: map[string][]string{"max-requests-inflight": {"123"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})

	t.Run("serves an administrator", func(t *testing.T) {
		admin, err := client.New(c.Config, client.Options{})
		if err != nil {
			t.Fatal(err)
		}
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "first"}}
		if err := admin.Create(t.Context(), namespace); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("writes a kubeconfig that kubectl accepts", func(t *testing.T) {
		info, err := os.Stat(c.Kubeconfig())
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("mode is %o, not 600", mode)
		}
		kubectl := exec.CommandContext(t.Context(), c.Kubectl(), "--kubeconfig", c.Kubeconfig(), "get", "namespace", "first")
		if output, err := kubectl.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, output)
		}
	})
	t.Run("gives a user what RBAC grants: nothing", func(t *testing.T) {
		user, err := c.AddUser(envtest.User{Name: "visitor", Groups: []string{"visitors"}})
		if err != nil {
			t.Fatal(err)
		}
		visitor, err := client.New(user.Config(), client.Options{})
		if err != nil {
			t.Fatal(err)
		}
		err = visitor.List(t.Context(), &corev1.SecretList{})
		if err == nil || !strings.Contains(err.Error(), "forbidden") {
			t.Errorf("listing secrets: %v, not forbidden", err)
		}
	})
	t.Run("listens where no outgoing connection can be when it starts again", func(t *testing.T) {
		peers := c.env.ControlPlane.Etcd.Configure().Get("listen-peer-urls").Get(nil)
		for _, address := range append(peers, c.EtcdURL(), c.Config.Host) {
			u, err := url.Parse(address)
			if err != nil {
				t.Fatal(err)
			}
			if port, err := strconv.Atoi(u.Port()); err != nil || port < lowestPort || port > highestPort {
				t.Errorf("%s is not from FreeAddress", address)
			}
		}
		if len(peers) != 1 {
			t.Errorf("etcd listens for peers at %q", peers)
		}
	})
	t.Run("stops with its context", func(t *testing.T) {
		cancel()
		eventually(t, c.directory+" is still there", func() bool {
			_, err := os.Stat(c.directory)
			return os.IsNotExist(err)
		})
	})
}

// The lifeline kills its programs when its pipe closes without the newline of a clean
// stop. This test closes it as the kernel does for a process that was killed.
func TestLifeline(t *testing.T) {
	t.Parallel()

	directory := t.TempDir()
	l, err := NewLifeline(t.Context(), directory, controlPlaneGrace)
	if err != nil {
		t.Fatal(err)
	}
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip("no sleep(1) here")
	}
	script, err := l.Tie(sleep)
	if err != nil {
		t.Fatal(err)
	}
	program := exec.CommandContext(t.Context(), script, "60")
	program.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // as envtest does
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the program has not started", func() bool {
		ids, err := os.ReadFile(filepath.Join(directory, "processes"))
		return err == nil && strings.HasSuffix(string(ids), "\n")
	})

	started := time.Now()
	if err := l.pipe.Close(); err != nil {
		t.Fatal(err)
	}
	if err := program.Wait(); err == nil || time.Since(started) > 30*time.Second {
		t.Errorf("ended after %s with %v, not killed at once", time.Since(started), err)
	}
	if err := l.watcher.Wait(); err != nil {
		t.Logf("the watcher: %v", err)
	}
	if _, err := os.Stat(directory); !os.IsNotExist(err) {
		t.Errorf("the folder is still there: %v", err)
	}
}

func TestMissingPrograms(t *testing.T) {
	t.Run("in KUBEBUILDER_ASSETS", func(t *testing.T) {
		t.Setenv(assetsVariable, t.TempDir())
		wantError(t, "has no etcd", "unset KUBEBUILDER_ASSETS")
	})
	t.Run("in a checkout", func(t *testing.T) {
		t.Setenv(assetsVariable, "")
		root := t.TempDir()
		if err := os.WriteFile(filepath.Join(root, "go.mod"), []byte("module "+modulePath+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Chdir(root)
		wantError(t, "has no etcd", "run `make controlplane`")
	})
	t.Run("outside a checkout", func(t *testing.T) {
		t.Setenv(assetsVariable, "")
		t.Chdir(t.TempDir())
		wantError(t, "not inside a checkout")
	})
}

func TestFindControllerManager(t *testing.T) {
	t.Run("in KUBEBUILDER_ASSETS", func(t *testing.T) {
		folder := t.TempDir()
		t.Setenv(assetsVariable, folder)
		want := filepath.Join(folder, controllerManager)
		if err := os.WriteFile(want, nil, 0o700); err != nil {
			t.Fatal(err)
		}
		if got, err := FindControllerManager(); err != nil || got != want {
			t.Errorf("found %s, %v", got, err)
		}
	})
	t.Run("in a checkout without one", func(t *testing.T) {
		t.Setenv(assetsVariable, t.TempDir())
		root := t.TempDir()
		if err := os.WriteFile(filepath.Join(root, "go.mod"), []byte("module "+modulePath+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Chdir(root)
		if path, err := FindControllerManager(); err == nil || !strings.Contains(err.Error(), "run `make controller-manager`") {
			t.Errorf("found %s, %v", path, err)
		}
	})
}

func eventually(t *testing.T, complaint string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(complaint)
		}
	}
}

func wantError(t *testing.T, parts ...string) {
	t.Helper()
	_, err := StartControlPlane(t.Context(), ControlPlaneOptions{})
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
}
