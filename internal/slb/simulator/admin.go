package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

// maxAdminBody bounds a body of the admin API in bytes: more than a load balancer with 50 listeners of 200 backends.
const maxAdminBody = 16 << 20

// adminError is a refusal of the admin API: the status to send, and a message that names the field.
type adminError struct {
	status int
	err    error
}

func (e *adminError) Error() string { return e.err.Error() }

func badRequest(err error) error { return &adminError{http.StatusBadRequest, err} }

// adminAction returns the status and what to send as JSON; nil sends no body.
type adminAction func(r *http.Request) (int, any, error)

// adminHandler routes the admin API. No route reads accounts, so none can give a secret away.
func (s *Server) adminHandler() http.Handler {
	mux := http.NewServeMux()
	for pattern, action := range map[string]adminAction{
		"GET /admin/v1/loadbalancers":                  s.adminList,
		"GET /admin/v1/loadbalancers/{id}":             s.adminGet,
		"PUT /admin/v1/loadbalancers/{id}":             s.adminPut,
		"DELETE /admin/v1/loadbalancers/{id}":          s.adminDelete,
		"PATCH /admin/v1/loadbalancers/{id}/backends":  s.adminSetStatus,
		"POST /admin/v1/loadbalancers/{id}/backends":   s.adminAddBackend,
		"DELETE /admin/v1/loadbalancers/{id}/backends": s.adminRemoveBackends,
		"GET /admin/v1/faults":                         s.adminListFaults,
		"PUT /admin/v1/faults":                         s.adminSetFaults,
		"POST /admin/v1/faults":                        s.adminAddFault,
		"DELETE /admin/v1/faults":                      s.adminClearFaults,
		"GET /admin/v1/calls":                          s.adminCalls,
		"DELETE /admin/v1/calls":                       s.adminResetCalls,
		"/admin/":                                      adminUnknown,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { serveAdmin(w, r, action) })
	}
	return mux
}

func serveAdmin(w http.ResponseWriter, r *http.Request, action adminAction) {
	status, answer, err := action(r)
	if err != nil {
		status, answer = adminStatus(err), map[string]string{"message": err.Error()}
	}
	if answer == nil {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(answer)
}

func adminStatus(err error) int {
	if known, ok := errors.AsType[*adminError](err); ok {
		return known.status
	}
	switch {
	case errors.Is(err, ErrNoLoadBalancer), errors.Is(err, ErrNoBackend):
		return http.StatusNotFound
	case errors.Is(err, ErrBackendExists):
		return http.StatusConflict
	default:
		return http.StatusBadRequest
	}
}

func adminUnknown(r *http.Request) (int, any, error) {
	return 0, nil, &adminError{http.StatusNotFound, fmt.Errorf("no such endpoint: %s %s", r.Method, r.URL.Path)}
}

// readBody decodes strictly, so that a misspelt field is refused instead of having no effect.
func readBody(r *http.Request, out any) error {
	if r.URL.RawQuery != "" {
		return badRequest(errors.New("query: this endpoint reads its body only: write the fields there"))
	}
	data, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxAdminBody))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return &adminError{http.StatusRequestEntityTooLarge, fmt.Errorf("body: larger than %d bytes", maxAdminBody)}
	}
	if err != nil {
		return badRequest(fmt.Errorf("body: %w", err))
	}
	if err := decodeStrict(data, out); err != nil {
		return badRequest(fmt.Errorf("body: %w", err))
	}
	return nil
}

// onlyQuery refuses query parameters that the endpoint does not know.
func onlyQuery(query url.Values, known ...string) error {
	for name := range query {
		if !slices.Contains(known, name) {
			return badRequest(fmt.Errorf("%s: unknown query parameter: write one of %v", name, known))
		}
	}
	return nil
}

// queryInt reads a whole number above 0 from a query parameter; absent gives the default.
func queryInt(query url.Values, name string, absent int) (int, error) {
	text := query.Get(name)
	if text == "" {
		return absent, nil
	}
	number, err := strconv.Atoi(text)
	if err != nil || number < 1 {
		return 0, badRequest(fmt.Errorf("%s: %q is no number above 0", name, text))
	}
	return number, nil
}
