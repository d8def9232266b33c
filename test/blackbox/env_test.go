// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

const (
	mainNamespace    = "main"
	hostileNamespace = "hostile"
	region           = "cn-hangzhou"
)

// env is what the specs share.
type env struct {
	ctx         context.Context // of everything: a test's own ends before what it cleans up
	outputs     string          // every output of every operator, and nothing else
	home        string          // an empty folder
	programs    programs
	certificate *harness.Certificate
	plane       *harness.ControlPlane
	audit       *requestLog // nil unless asked for
	users       sync.Mutex  // envtest adds one user at a time
	admin       client.Client
	operator    *user
	vault       *vault

	simulator   *simulator
	slb         *slbServer
	mainAccount account
	main        *operator
	hostile     *operator
}

type programs struct{ operator, simulator string }

// envOptions are for tests that need an env of their own.
type envOptions struct {
	// quick leaves the race detector out of the programs, where they start often.
	quick bool
	// audited keeps a log of the requests to the API server.
	audited bool
	// plane is for the control plane.
	plane harness.ControlPlaneOptions
}

// newEnv has all but a simulator and operators.
func newEnv(t *testing.T, o envOptions) *env {
	t.Helper()
	w := newBareEnv(t, o)
	w.operator = w.addUser(t, "operator")
	w.bind(t, w.operator, "role.yaml")
	w.slb = startSLBServer(t, w)
	return w
}

// addSimulator starts the simulator, with the account of the main operator.
func (w *env) addSimulator(t *testing.T) {
	t.Helper()
	w.mainAccount = w.newAccount("main")
	w.simulator = startSimulator(t, w)
	w.simulator.setAccount(t, w.mainAccount)
}

// newBareEnv has the built programs, and a cluster without anything in it.
func newBareEnv(t *testing.T, o envOptions) *env {
	t.Helper()
	w := &env{ctx: context.WithoutCancel(t.Context()), outputs: t.TempDir(), home: t.TempDir(), vault: &vault{}}
	w.certificate = newCertificate(t, 0, stsHost)
	var building sync.WaitGroup
	building.Go(func() { w.programs = build(t, o.quick) })
	if o.audited {
		w.audit = newRequestLog(t)
		o.plane.APIServerArgs = w.audit.flags
	}
	w.startControlPlane(t, o.plane)
	building.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return w
}

// build builds the programs into bin/, once per process: each suite then reuses the files of the one before. It
// reports its failure without ending the test, because it runs beside it.
func build(t *testing.T, quick bool) programs {
	t.Helper()
	built := buildRace
	if quick {
		built = buildQuick
	}
	p, err := built()
	if err != nil {
		t.Error(err)
	}
	return p
}

var (
	buildRace  = sync.OnceValues(func() (programs, error) { return buildInto("race", raceArgs()) })
	buildQuick = sync.OnceValues(func() (programs, error) { return buildInto("norace", []string{"CGO_ENABLED=0", "go", "build"}) })
)

// raceArgs are the environment and the command of a build with the race detector, where there is a C compiler.
func raceArgs() []string {
	if compiler, err := exec.Command("go", "env", "CC").Output(); err == nil && hasProgram(string(compiler)) {
		return []string{"CGO_ENABLED=1", "go", "build", "-race"}
	}
	fmt.Fprintln(os.Stderr, "there is no C compiler: the programs are built without the race detector")
	return []string{"CGO_ENABLED=0", "go", "build"}
}

func buildInto(name string, args []string) (programs, error) {
	folder, err := filepath.Abs(filepath.Join("..", "..", "bin", name))
	if err != nil {
		return programs{}, err
	}
	args = append(args, "-buildvcs=false", "-o", folder+string(filepath.Separator), "./cmd/slb-health-operator", "./cmd/slb-simulator")
	command := exec.Command("env", args...)
	command.Dir = filepath.Join("..", "..")
	if output, err := command.CombinedOutput(); err != nil {
		return programs{}, fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, output)
	}
	return programs{
		operator:  filepath.Join(folder, "slb-health-operator"),
		simulator: filepath.Join(folder, "slb-simulator"),
	}, nil
}

func hasProgram(commandLine string) bool {
	words := strings.Fields(commandLine)
	if len(words) == 0 {
		return false
	}
	_, err := exec.LookPath(words[0])
	return err == nil
}

func (w *env) startControlPlane(t *testing.T, options harness.ControlPlaneOptions) {
	t.Helper()
	w.plane = harness.NewControlPlane(t, options)
	w.admin = newClient(t, w.plane.Config)
}

func newClient(t *testing.T, config *rest.Config) client.Client {
	t.Helper()
	c, err := harness.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (w *env) create(t *testing.T, object client.Object) {
	t.Helper()
	if err := w.admin.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
}

func (w *env) createNamespace(t *testing.T, name string) {
	t.Helper()
	w.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
}

// user is one that the API server knows by a certificate.
type user struct {
	name       string
	config     *rest.Config
	kubeconfig string
}

func (w *env) addUser(t *testing.T, name string) *user {
	t.Helper()
	w.users.Lock()
	added, err := w.plane.AddUser(envtest.User{Name: name})
	w.users.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	content, err := added.KubeConfig()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name+".kubeconfig")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return &user{name: name, config: added.Config(), kubeconfig: path}
}

// bind grants a ClusterRole of config/rbac to the user.
func (w *env) bind(t *testing.T, u *user, file string) {
	t.Helper()
	w.bindTo(t, harness.User(u.name), "", file)
}

// bindIn grants a Role of config/rbac to the user in a namespace.
func (w *env) bindIn(t *testing.T, u *user, namespace, file string) {
	t.Helper()
	w.bindTo(t, harness.User(u.name), namespace, file)
}

func (w *env) bindTo(t *testing.T, subject rbacv1.Subject, namespace, file string) {
	t.Helper()
	if err := harness.Grant(t.Context(), w.admin, subject, namespace, file); err != nil {
		t.Fatal(err)
	}
}

// kubectl runs as an administrator and returns what it prints.
func (w *env) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	return w.kubectlAs(t, w.plane.Kubeconfig(), args...)
}

func (w *env) kubectlAs(t *testing.T, kubeconfig string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), w.plane.Kubectl(), append([]string{"--kubeconfig", kubeconfig}, args...)...)
	command.Env = []string{"HOME=" + t.TempDir()}
	output, err := command.CombinedOutput()
	if err != nil {
		t.Errorf("kubectl %s: %v", strings.Join(args, " "), err)
	}
	return string(output)
}
