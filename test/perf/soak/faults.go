// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/http"
)

// maxFaults bounds the faults at a time. Each is for one load balancer, or for the
// next few calls for any.
const maxFaults = 8

// fault is a rule of the simulator.
type fault map[string]any

// setFaults replaces all rules by random ones.
func (s *soak) setFaults(ctx context.Context) error {
	faults := make([]fault, s.random.IntN(maxFaults))
	for i := range faults {
		faults[i] = s.newFault()
		if faults[i]["times"] == nil && s.random.IntN(4) == 0 {
			faults[i]["times"] = 1 + s.random.IntN(30)
		} else {
			faults[i]["loadBalancerId"] = choose(s, s.balancers).ID
		}
	}
	return s.putFaults(ctx, faults)
}

func (s *soak) putFaults(ctx context.Context, faults []fault) error {
	return s.Simulator.Admin(ctx, http.MethodPut, "faults", map[string]any{"faults": faults}, nil)
}

func (s *soak) newFault() fault {
	return choose(s, []func() fault{
		func() fault { return fault{"kind": "hang"} },
		func() fault { return fault{"kind": "reset"} },
		func() fault { return fault{"kind": "throttle", "retryAfterSeconds": 1 + s.random.IntN(2)} },
		func() fault { return fault{"kind": "throttle", "httpStatus": http.StatusTooManyRequests} },
		func() fault { return fault{"kind": "status", "httpStatus": 500 + s.random.IntN(5)} },
		func() fault {
			return fault{"kind": "status", "httpStatus": http.StatusForbidden, "code": "Forbidden.RAM"}
		},
		func() fault { return fault{"kind": "delay", "delay": fmt.Sprintf("%dms", 1+s.random.IntN(1500))} },
		func() fault {
			return fault{"kind": choose(s, []string{"malformed", "truncated", "contentType", "empty", "emptyObject", "redirect"})}
		},
		func() fault { return fault{"kind": "oversized", "times": 1} },
		s.newEcho,
	})()
}

// newEcho returns the caller's key in the response, as a server does that repeats
// a request in its error message.
func (s *soak) newEcho() fault {
	caller := s.own
	if i := s.random.IntN(len(s.secrets) + 1); i < len(s.secrets) {
		caller = s.secrets[i].valid[0]
	}
	text := choose(s, encodingsOf(choose(s, caller.values()))[:requestEncodings])
	echo := choose(s, []fault{
		{"kind": "body", "body": fmt.Sprintf(`{"RequestId":"7FFD0B1B-B1F6-4A97-AC38-CE5DDD4DAE87","BackendServers":{"BackendServer":[{"ServerId":%q,"ServerHealthStatus":"normal"}]}}`, text)},
		{"kind": "status", "httpStatus": http.StatusBadRequest, "code": "InvalidParameter", "message": "what is " + text + "?"},
		{"kind": "body", "httpStatus": http.StatusBadGateway, "contentType": "text/html", "body": "<html>" + text + "</html>"},
	})
	echo["accessKeyId"] = caller.AccessKeyID
	return echo
}
