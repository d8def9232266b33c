// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// maxAdminBody bounds a body of the admin API in bytes: more than a load balancer with 50 listeners of 200 backends.
const maxAdminBody = 16 << 20

// adminError is a refusal of the admin API: the status to send, and a message with the field.
type adminError struct {
	status int
	err    error
}

func (e *adminError) Error() string { return e.err.Error() }

func badRequest(err error) error { return &adminError{http.StatusBadRequest, err} }

// endpoint is one call of the admin API.
type endpoint struct {
	// do returns the status and what to send as JSON; nil sends no body.
	do func(r *http.Request) (int, any, error)
	// query are the names of its parameters.
	query []string
}

// adminHandler routes the admin API. No route reads accounts, so none can reveal a secret.
func (s *Server) adminHandler() http.Handler {
	mux := http.NewServeMux()
	handle := func(prefix string, paths map[string]map[string]endpoint) {
		for path, methods := range paths {
			mux.HandleFunc(prefix+path, func(w http.ResponseWriter, r *http.Request) { serveAdmin(w, r, methods) })
		}
	}
	handle("/admin/", map[string]map[string]endpoint{"": nil})
	handle("/admin/v1", s.endpoints())
	handle("/admin/v1/nlb", s.nlb.endpoints())
	handle("/admin/v1/alb", s.alb.endpoints())
	return mux
}

// endpoints are those of CLB, and those of all products, by path.
func (s *Server) endpoints() map[string]map[string]endpoint {
	selector := []string{"serverId", "serverIp", "listenerPort", "listenerProtocol", "port"}
	return map[string]map[string]endpoint{
		"/loadbalancers": {http.MethodGet: {do: s.adminList}},
		"/loadbalancers/{id}": {
			http.MethodGet:    {do: s.adminGet},
			http.MethodPut:    {do: s.adminPut},
			http.MethodDelete: {do: s.adminDelete},
		},
		"/loadbalancers/{id}/backends": {
			http.MethodPatch:  {do: s.adminSetStatus},
			http.MethodPost:   {do: s.adminAddBackend},
			http.MethodDelete: {do: s.adminRemoveBackends, query: selector},
		},
		"/loadbalancers/{id}/listeners": {
			http.MethodPatch:  {do: s.adminSetListeners},
			http.MethodPost:   {do: s.adminAddListener},
			http.MethodDelete: {do: s.adminRemoveListeners, query: []string{"listenerPort", "listenerProtocol"}},
		},
		"/permissions": {
			http.MethodGet: {do: s.adminPermissions},
			http.MethodPut: {do: s.adminSetPermissions},
		},
		"/faults": {
			http.MethodGet:    {do: s.adminListFaults},
			http.MethodPut:    {do: s.adminSetFaults},
			http.MethodPost:   {do: s.adminAddFault},
			http.MethodDelete: {do: s.adminClearFaults},
		},
		"/calls": {
			http.MethodGet:    {do: s.adminCalls, query: []string{"product", "action", "loadBalancerId", "limit"}},
			http.MethodDelete: {do: s.adminResetCalls},
		},
	}
}

func serveAdmin(w http.ResponseWriter, r *http.Request, methods map[string]endpoint) {
	status, body, err := callEndpoint(w.Header(), r, methods)
	if err != nil {
		status, body = adminStatus(err), map[string]string{"message": err.Error()}
	}
	if body == nil {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(body)
}

func callEndpoint(header http.Header, r *http.Request, methods map[string]endpoint) (int, any, error) {
	if methods == nil {
		return 0, nil, &adminError{http.StatusNotFound, fmt.Errorf("no such endpoint: %s %s", r.Method, r.URL.Path)}
	}
	method := r.Method
	if method == http.MethodHead { // net/http sends the header alone
		method = http.MethodGet
	}
	called, known := methods[method]
	if !known {
		allowed := strings.Join(slices.Sorted(maps.Keys(methods)), ", ")
		header.Set("Allow", allowed)
		return 0, nil, &adminError{http.StatusMethodNotAllowed, fmt.Errorf("method: %s means nothing here: write one of %s", r.Method, allowed)}
	}
	if method == http.MethodGet || method == http.MethodDelete {
		if err := checkQuery(r, called.query); err != nil {
			return 0, nil, badRequest(err)
		}
	}
	return called.do(r)
}

func adminStatus(err error) int {
	if known, ok := errors.AsType[*adminError](err); ok {
		return known.status
	}
	switch {
	case errors.Is(err, ErrNoLoadBalancer), errors.Is(err, ErrNoBackend), errors.Is(err, ErrNoListener), errors.Is(err, ErrNoServerGroup), errors.Is(err, ErrNoServer):
		return http.StatusNotFound
	case errors.Is(err, ErrBackendExists), errors.Is(err, ErrListenerExists), errors.Is(err, ErrServerExists), errors.Is(err, ErrServerGroupUse), errors.Is(err, ErrIDExists):
		return http.StatusConflict
	default:
		return http.StatusBadRequest
	}
}

// readBody decodes strictly, so that a misspelt field is refused instead of having no effect.
func readBody(r *http.Request, out any) error {
	if r.URL.RawQuery != "" {
		return badRequest(errors.New("query: this endpoint reads its body only: write the fields there"))
	}
	data, err := readAtMost(r.Body, maxAdminBody)
	if errors.Is(err, errTooLarge) {
		return &adminError{http.StatusRequestEntityTooLarge, fmt.Errorf("body: larger than %d bytes: send less at once", maxAdminBody)}
	}
	if err != nil {
		return badRequest(fmt.Errorf("body: %w", err))
	}
	if err := decodeStrict(data, out); err != nil {
		return badRequest(fmt.Errorf("body: %w", err))
	}
	return nil
}

// checkQuery refuses unknown parameters, so that no misspelt selector selects everything.
func checkQuery(r *http.Request, known []string) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	switch {
	case r.ContentLength != 0:
		return errors.New("body: this endpoint reads its query only: write the parameters there")
	case err != nil:
		return fmt.Errorf("query: %w: write name=value&name=value", err)
	case len(query) > 0 && len(known) == 0:
		return errors.New("query: this endpoint accepts no parameters: omit them")
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		switch {
		case !slices.Contains(known, name):
			return fmt.Errorf("%s: unknown query parameter: write one of %s", name, strings.Join(known, ", "))
		case len(query[name]) > 1:
			return fmt.Errorf("%s: stands twice: write it once", name)
		case query.Get(name) == "":
			return fmt.Errorf("%s: empty: write a value, or omit it", name)
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
		return 0, badRequest(fmt.Errorf("%s: %q is no number above 0: write one such as 80, or omit it", name, text))
	}
	return number, nil
}
