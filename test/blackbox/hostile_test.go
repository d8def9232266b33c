// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	. "github.com/onsi/gomega"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

var hostileSpecs = []spec{
	{"an invalid response has its reason, and changes no data", inventsNothing},
	{"a redirect is not followed", followsNoRedirect},
	{"an endpoint whose certificate is not trusted gets no request", distrusts},
	{"control characters and escapes reach no status, event or terminal", printsNoControls},
	{"a response that echoes the signed request is redacted", redactsEcho},
	{"a response with the signature as a backend is invalid", refusesEchoAsRow},
}

type hostileCase struct {
	name     string
	reason   string
	response fakeResponse
}

const (
	goodBody = `{"RequestId":"365F4154-92F6-4AE4-92F8-7FF34B540710","BackendServers":{"BackendServer":[{"ServerId":"i-1","ServerHealthStatus":"abnormal"}]}}`
	loginBox = `<!DOCTYPE html><html><head><title>Welcome</title></head><body><h1>Sign in</h1></body></html>`
)

// hostileCases are invalid responses. Where they have a backend, it is abnormal.
func hostileCases() []hostileCase {
	page := fakeResponse{status: http.StatusOK, header: http.Header{"Content-Type": {"text/html"}}, body: []byte(loginBox)}
	failedPage := page
	failedPage.status = http.StatusBadGateway
	blanks := bytes.Repeat([]byte{' '}, 11<<20)
	return []hostileCase{
		{"empty", "InvalidResponse", text(200, "")},
		{"blank", "InvalidResponse", text(200, " \n\t")},
		{"no-content", "InvalidResponse", fakeResponse{status: http.StatusNoContent}},
		{"empty-object", "InvalidResponse", text(200, "{}")},
		{"null", "InvalidResponse", text(200, "null")},
		{"list", "InvalidResponse", text(200, "["+goodBody+"]")},
		{"string", "InvalidResponse", text(200, `"ok"`)},
		{"html", "InvalidResponse", page},
		{"html-failure", "ServiceError", failedPage},
		{"xml", "InvalidResponse", text(200, "<DescribeHealthStatusResponse><BackendServers/></DescribeHealthStatusResponse>")},
		{"half", "InvalidResponse", text(200, goodBody[:len(goodBody)/2])},
		{"truncated", "InvalidResponse", fakeResponse{write: truncated}},
		{"too-large", "InvalidResponse", fakeResponse{status: 200, body: slices.Concat(blanks, []byte(goodBody))}},
		{"too-large-unpacked", "InvalidResponse", inflated(blanks)},
		{"wrong-case", "InvalidResponse", text(200, strings.ToLower(goodBody))},
		{"no-list", "InvalidResponse", text(200, `{"RequestId":"365F4154-92F6-4AE4-92F8-7FF34B540710"}`)},
		{"null-list", "InvalidResponse", text(200, `{"RequestId":"365F4154-92F6-4AE4-92F8-7FF34B540710","BackendServers":{"BackendServer":null}}`)},
		{"object-for-list", "InvalidResponse", text(200, `{"RequestId":"365F4154-92F6-4AE4-92F8-7FF34B540710","BackendServers":{"BackendServer":{}}}`)},
		{"row-without-id", "InvalidResponse", success(row{"ServerHealthStatus": "abnormal"})},
		{"row-without-status", "InvalidResponse", success(row{"ServerId": "i-1"})},
		{"row-with-bad-port", "InvalidResponse", success(row{"ServerId": "i-1", "ServerHealthStatus": "abnormal", "ListenerPort": 70000})},
		{"endless-listeners", "InvalidResponse", success(endlessListeners(1_001)...)},
		{"numeric-code", "InvalidResponse", text(200, `{"RequestId":"x","Code":404,"Message":"no"}`)},
		{"numeric-code-refused", "InvalidResponse", text(400, `{"RequestId":"x","Code":404,"Message":"no"}`)},
		{"two-documents", "InvalidResponse", text(200, goodBody+goodBody)},
	}
}

// endlessListeners has more listeners than fit into an object.
func endlessListeners(n int) []row {
	rows := make([]row, n)
	for i := range rows {
		rows[i] = row{"ServerId": "i-1", "ServerHealthStatus": "abnormal", "ListenerPort": 1 + i}
	}
	return rows
}

// truncated sends the length of the whole response, and half of the body.
func truncated(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(goodBody)))
	_, _ = w.Write([]byte(goodBody[:len(goodBody)/2]))
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// inflated is a compressed response: small until it is unpacked.
func inflated(blanks []byte) fakeResponse {
	var packed bytes.Buffer
	writer, _ := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	_, _ = writer.Write(blanks)
	_, _ = writer.Write([]byte(goodBody))
	_ = writer.Close()
	return fakeResponse{status: http.StatusOK, header: http.Header{"Content-Encoding": {"gzip"}}, body: packed.Bytes()}
}

func inventsNothing(t *testing.T, w *env) {
	type pair struct{ never, kept *v1alpha1.LoadBalancerHealth }
	pairs := map[string]pair{}
	cases := hostileCases()
	for _, c := range cases {
		never, kept := "lb-hostile-"+c.name, "lb-becomes-hostile-"+c.name
		w.slb.on(never, always(c.response))
		w.slb.on(kept, func(n int) fakeResponse {
			if n == 1 {
				return success(normalRow("i-kept"))
			}
			return c.response
		})
		pairs[c.name] = pair{named(hostileNamespace, never, once), named(hostileNamespace, kept, once)}
		w.create(t, pairs[c.name].never)
		w.create(t, pairs[c.name].kept)
	}
	for _, c := range cases {
		t.Run(c.name+" is "+c.reason, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			before := w.await(t, pairs[c.name].kept, good("AllBackendsNormal"))
			w.requestObservation(t, before, "now")

			nothingInvented(g, w.awaitFailure(t, pairs[c.name].never, c.reason))

			want := with(good("AllBackendsNormal"), states{"Observed": "False " + c.reason, "Reconciling": "True ObservationRequested"})
			after := w.await(t, before, want)
			g.Expect(after.Status.LastAttemptedObserveRequest).To(Equal("now"))
			g.Expect(after.Status.LastHandledObserveRequest).To(BeEmpty(), "a failure serves no request")
			g.Expect(after.Status.Backends).To(Equal(before.Status.Backends))
			g.Expect(after.Status.Listeners).To(Equal(before.Status.Listeners))
			g.Expect(after.Status.Summary).To(Equal(before.Status.Summary))
			g.Expect(after.Status.LastRequestID).To(Equal(before.Status.LastRequestID))
			g.Expect(after.Status.LastObservedTime).To(Equal(before.Status.LastObservedTime))
			w.awaitEvents(t, before, map[string]int{"Warning ObservationFailed": 1})
		})
	}
}

func followsNoRedirect(t *testing.T, w *env) {
	target := w.serveUnused(t)
	statuses := []int{301, 302, 303, 307, 308}
	var objects []*v1alpha1.LoadBalancerHealth
	for _, status := range statuses {
		id := "lb-redirect-" + strconv.Itoa(status)
		w.slb.on(id, always(fakeResponse{status: status, header: http.Header{"Location": {target.URL + "/"}}}))
		object := named(hostileNamespace, id, once)
		objects = append(objects, object)
		w.create(t, object)
	}
	for _, object := range objects {
		nothingInvented(NewWithT(t), w.await(t, object, failing("InvalidResponse")))
	}
}

func distrusts(t *testing.T, w *env) {
	g := NewWithT(t)
	const namespace, id = "distrust", "lb-distrust"
	w.createNamespace(t, namespace)
	w.simulator.put(t, id, web("i-1", "10.7.0.1", "normal"))
	object := named(namespace, id)
	w.create(t, object)
	w.startOperator(t, operatorOptions{
		name: namespace, account: w.mainAccount,
		environment: []string{"SSL_CERT_FILE=" + os.DevNull},
	})
	found := w.await(t, object, failing("EndpointUnreachable"))
	nothingInvented(g, found)
	g.Expect(conditionOf(found, "Observed").Message).To(ContainSubstring("certificate"))
	g.Expect(w.simulator.calls(t, id)).To(BeEmpty())
}

// controls has what attacks terminals and readers: escapes, newlines, bidirectional controls, characters without width,
// fillers that count as letters, and format verbs.
const controls = "\x1b[31mred\x1b[0m\r\n\x00\x07\u202e\u2066\u0085\u200b\ufeff\u3164\ufe0f\u034f\U000e0041%s%d%nend"

// visible reports whether a terminal shows something for a character.
func visible(r rune) bool {
	return unicode.IsPrint(r) && !unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

func printsNoControls(t *testing.T, w *env) {
	g := NewWithT(t)
	const rows, words = "lb-controls", "lb-control-words"
	w.slb.on(rows, func(n int) fakeResponse {
		status := "normal"
		if n > 1 {
			status = "abnormal"
		}
		return success(row{
			"ServerId": "i-" + controls, "ServerIp": "10.0.0.1" + controls, "EniHost": controls + strings.Repeat("x", 1<<10), "Type": "ecs" + controls,
			"Protocol": "tcp" + controls, "ListenerPort": 80, "ServerHealthStatus": status,
		})
	})
	w.slb.on(words, always(document(http.StatusInternalServerError, map[string]any{
		"RequestId": "id-" + controls, "HostId": controls, "Code": "InternalError", "Message": "It failed " + controls, "Recommend": controls,
	})))
	object, failed := named(hostileNamespace, rows, once), named(hostileNamespace, words, once)
	w.create(t, object)
	w.create(t, failed)
	w.await(t, failed, failing("ServiceError"))
	w.await(t, object, good("AllBackendsNormal"))
	w.requestObservation(t, object, "now")
	w.await(t, object, bad("BelowMinHealthy"))
	w.awaitEvents(t, object, map[string]int{"Warning BackendAbnormal": 1, "Warning LoadBalancerUnhealthy": 1})
	w.awaitEvents(t, failed, map[string]int{"Warning ObservationFailed": 1})

	for _, object := range []*v1alpha1.LoadBalancerHealth{object, failed} {
		status, err := json.Marshal(w.get(g, object).Status)
		g.Expect(err).NotTo(HaveOccurred())
		var values any
		g.Expect(json.Unmarshal(status, &values)).To(Succeed())
		printable(t, values)
		for note := range w.events(g, object) {
			printable(t, note)
			g.Expect(note).NotTo(ContainSubstring("%!"), "a format verb in a message of the API")
		}
		printable(t, strings.ReplaceAll(w.kubectl(t, "get", "-n", hostileNamespace, "lbh", object.Name, "-o", "wide"), "\n", ""))
	}
	_, log := w.hostile.output(t)
	printable(t, strings.ReplaceAll(log, "\n", ""))
	g.Expect(strings.Contains(log, "u001b") || strings.Contains(log, "u202e")).To(BeFalse(), "the log contains quoted escapes")
	series := w.hostile.metrics(g)
	for name := range series {
		printable(t, name)
	}
}

// printable checks every string of a decoded JSON value.
func printable(t *testing.T, value any) {
	t.Helper()
	switch value := value.(type) {
	case string:
		if i := strings.IndexFunc(value, func(r rune) bool { return !visible(r) && r != '\t' }); i >= 0 {
			t.Errorf("not printable from byte %d on: %.300q", i, value[i:])
		}
	case []any:
		for _, element := range value {
			printable(t, element)
		}
	case map[string]any:
		for _, element := range value {
			printable(t, element)
		}
	}
}

func redactsEcho(t *testing.T, w *env) {
	g := NewWithT(t)
	const id = "lb-echo"
	w.slb.on(id, func(n int) fakeResponse {
		form := w.slb.received(id)[n-1]
		return refusal(http.StatusForbidden, "SignatureDoesNotMatch",
			"Access denied for "+form.Get("AccessKeyId")+" with token "+form.Get("SecurityToken")+
				" at https://slb.aliyuncs.com/?"+form.Encode()+" and Signature="+form.Get("Signature")+
				" server string to sign is:GET&%2F&"+percentEncode(form.Encode()))
	})
	object := named(hostileNamespace, id, once)
	w.create(t, object)
	found := w.await(t, object, stalled("InvalidCredentials"))
	message := conditionOf(found, "Observed").Message
	g.Expect(message).To(ContainSubstring("Access denied for"))
	g.Expect(len(message)).To(BeNumerically("<", 1000))
	form := w.slb.received(id)[0]
	for _, name := range []string{"AccessKeyId", "SecurityToken", "Signature", "SignatureNonce"} {
		g.Expect(message).NotTo(ContainSubstring(form.Get(name)), name)
	}
}

// refusesEchoAsRow covers the fields of a row, which the status, events and log repeat.
func refusesEchoAsRow(t *testing.T, w *env) {
	const id = "lb-echo-row"
	w.slb.on(id, func(n int) fakeResponse {
		return success(row{"ServerId": w.slb.received(id)[n-1].Get("Signature"), "ServerHealthStatus": "abnormal"})
	})
	object := named(hostileNamespace, id, once)
	w.create(t, object)
	nothingInvented(NewWithT(t), w.await(t, object, failing("InvalidResponse")))
}
