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
	"time"

	corev1 "k8s.io/api/core/v1"
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

// env has the programs and servers that the specs share.
type env struct {
	ctx         context.Context // outlives the context of a test, which is canceled before the cleanups
	outputs     string          // the folder with the output of every operator
	home        string          // an empty folder
	programs    programs
	certificate *harness.Certificate
	plane       *harness.ControlPlane
	audit       *auditLog  // nil unless envOptions.audited
	users       sync.Mutex // envtest adds one user at a time
	admin       client.Client
	operator    *user
	vault       *vault

	simulator   *simulator
	slb         *slbServer
	groups      *groupServers // nil unless the test is about NLB and ALB
	mainAccount account
	main        *operator
	hostile     *operator
}

type programs struct{ operator, simulator string }

// envOptions configure the env of a test.
type envOptions struct {
	// quick builds the programs without the race detector, for tests that start them often.
	quick bool
	// audited makes the API server log its requests.
	audited bool
	// plane configures the control plane.
	plane harness.ControlPlaneOptions
}

// newEnv returns an env without a simulator and operators.
func newEnv(t *testing.T, o envOptions) *env {
	t.Helper()
	w := newBareEnv(t, o)
	w.operator = w.addUser(t, "operator")
	w.bind(t, w.operator, "", "role.yaml")
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

// newBareEnv returns an env with the built programs and an empty cluster.
func newBareEnv(t *testing.T, o envOptions) *env {
	t.Helper()
	w := &env{ctx: context.WithoutCancel(t.Context()), outputs: t.TempDir(), home: t.TempDir(), vault: &vault{}}
	w.certificate = newCertificate(t, 0, stsHost)
	var building sync.WaitGroup
	building.Go(func() { w.programs = build(t, o.quick) })
	if o.audited {
		w.audit, o.plane.APIServerArgs = newAuditLog(t, writePolicy)
	}
	w.plane = harness.NewControlPlane(t, o.plane)
	w.admin = newClient(t, w.plane.Config)
	building.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return w
}

// build builds the programs into bin/, once per process: the next suite reuses the files. It reports a failure with
// t.Error, because it does not run in the goroutine of the test.
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
	fmt.Fprintln(os.Stderr, "no C compiler found: building the programs without the race detector")
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

// hasProgram reports whether the program of a command with arguments exists.
func hasProgram(command string) bool {
	words := strings.Fields(command)
	if len(words) == 0 {
		return false
	}
	_, err := exec.LookPath(words[0])
	return err == nil
}

func newCertificate(t *testing.T, maxAge time.Duration, names ...string) *harness.Certificate {
	t.Helper()
	c, err := harness.NewCertificate(t.TempDir(), maxAge, names...)
	if err != nil {
		t.Fatal(err)
	}
	return c
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

// user is a user of the API server, with a client certificate.
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

// addCandidate adds a user with the permissions of an operator that elects a leader in a namespace.
func (w *env) addCandidate(t *testing.T, name, namespace string) *user {
	t.Helper()
	u := w.addUser(t, name)
	w.bind(t, u, "", "role.yaml")
	w.bind(t, u, namespace, "leader_election_role.yaml")
	return u
}

// bind grants a role of config/rbac to the user: a ClusterRole, or with a namespace a Role in it.
func (w *env) bind(t *testing.T, u *user, namespace, file string) {
	t.Helper()
	if err := harness.Grant(t.Context(), w.admin, harness.User(u.name), namespace, file); err != nil {
		t.Fatal(err)
	}
}

// kubectl runs as an administrator and returns its output.
func (w *env) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), w.plane.Kubectl(), append([]string{"--kubeconfig", w.plane.Kubeconfig()}, args...)...)
	command.Env = []string{"HOME=" + t.TempDir()}
	output, err := command.CombinedOutput()
	if err != nil {
		t.Errorf("kubectl %s: %v", strings.Join(args, " "), err)
	}
	return string(output)
}
