// SPDX-License-Identifier: Apache-2.0

package textbook

import (
	"strings"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/responses"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/slb"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// Everything is the naive reader: it keeps nothing, and reads the listeners of a load
// balancer, the health of each, and the members of every server group for each status.
type Everything struct{ Caller }

// Read returns the health of a load balancer of any product.
func (e *Everything) Read(object *v1alpha1.LoadBalancerHealth) (*Health, error) {
	id := object.Spec.LoadBalancerID
	switch {
	case strings.HasPrefix(id, "nlb-"):
		return e.readGroups(object, &nlbAPI)
	case strings.HasPrefix(id, "alb-"):
		return e.readGroups(object, &albAPI)
	default:
		return e.readCLB(object)
	}
}

func (e *Everything) readCLB(object *v1alpha1.LoadBalancerHealth) (*Health, error) {
	listeners := 0
	for token, more := "", true; more; more = token != "" {
		list := slb.CreateDescribeLoadBalancerListenersRequest()
		list.RegionId, list.LoadBalancerId, list.MaxResults, list.NextToken = object.Spec.RegionID, &[]string{object.Spec.LoadBalancerID}, pageSize, token
		response := slb.CreateDescribeLoadBalancerListenersResponse()
		if err := e.Do(object.Spec.RegionID, list, response); err != nil {
			return nil, err
		}
		listeners += len(response.Listeners)
		token = response.NextToken
	}
	response := slb.CreateDescribeHealthStatusResponse()
	if err := e.Do(object.Spec.RegionID, healthRequest(object), response); err != nil {
		return nil, err
	}
	health := healthOf(response)
	health.Listeners = listeners
	return health, nil
}

// readGroups combines the calls of a product with server groups: a member that the health
// of its listener does not name is normal.
func (e *Everything) readGroups(object *v1alpha1.LoadBalancerHealth, api *groupsAPI) (*Health, error) {
	r := &groupsReading{Everything: e, api: api, region: object.Spec.RegionID, members: map[string][]server{}}
	listeners, err := r.listeners(object.Spec.LoadBalancerID)
	if err != nil {
		return nil, err
	}
	r.health.Listeners = len(listeners)
	for i := range listeners {
		if err := r.read(&listeners[i]); err != nil {
			return nil, err
		}
	}
	return &r.health, nil
}

// groupsReading is what was read for one status.
type groupsReading struct {
	*Everything
	api    *groupsAPI
	region string
	// members are those of each server group.
	members map[string][]server
	health  Health
}

// page is one page of a list.
type page interface {
	responses.AcsResponse
	next() string
}

// readPages reads every page of a list; request is for the page of a token.
func readPages[P page](r *groupsReading, request func(token string) requests.AcsRequest, empty func() P, add func(P)) error {
	for token, more := "", true; more; more = token != "" {
		response := empty()
		if err := r.Do(r.region, request(token), response); err != nil {
			return err
		}
		add(response)
		token = response.next()
	}
	return nil
}

func (r *groupsReading) listeners(id string) (all []listener, err error) {
	err = readPages(r, func(token string) requests.AcsRequest { return r.api.listeners(r.region, id, token) },
		func() *listenersPage { return &listenersPage{Page: newPage()} },
		func(p *listenersPage) { all = append(all, p.Listeners...) })
	return all, err
}

// read adds the rows of a listener: those of each server group that its health names, once.
func (r *groupsReading) read(l *listener) error {
	groups, err := r.groups(l.ID)
	if err != nil {
		return err
	}
	added := map[string]bool{}
	for i := range groups {
		g := &groups[i]
		if added[g.ID] {
			continue
		}
		added[g.ID] = true
		if err := r.readMembers(g.ID); err != nil {
			return err
		}
		r.addRows(l, g)
	}
	return nil
}

// groups are those of a listener and its rules.
func (r *groupsReading) groups(listenerID string) (all []groupInfo, err error) {
	err = readPages(r, func(token string) requests.AcsRequest { return r.api.health(r.region, listenerID, token) },
		func() *healthPage { return &healthPage{Page: newPage()} },
		func(p *healthPage) {
			r.health.RequestID = p.RequestID
			for _, infos := range [...][]groupInfos{p.Listeners, p.Rules} {
				for i := range infos {
					all = append(all, infos[i].Groups...)
				}
			}
		})
	return all, err
}

// readMembers reads the members of a server group, once for a status.
func (r *groupsReading) readMembers(id string) error {
	if _, known := r.members[id]; known {
		return nil
	}
	r.members[id] = nil
	return readPages(r, func(token string) requests.AcsRequest { return r.api.members(r.region, id, token) },
		func() *membersPage { return &membersPage{Page: newPage()} },
		func(p *membersPage) { r.members[id] = append(r.members[id], p.Servers...) })
}

// addRows adds a row for each member of a group.
func (r *groupsReading) addRows(l *listener, g *groupInfo) {
	for i := range r.members[g.ID] {
		m := &r.members[g.ID][i]
		row := v1alpha1.BackendStatus{
			ServerID: m.ID, ServerIP: m.IP, Type: strings.ToLower(m.Type), Port: int32(m.Port), ServerGroupID: g.ID,
			ListenerPort: int32(l.Port), ListenerProtocol: strings.ToLower(l.Protocol), ServerHealthStatus: v1alpha1.StatusNormal,
		}
		for _, s := range g.Servers {
			switch {
			case s.ID != m.ID || s.Port != m.Port:
			case s.Status == "Unhealthy":
				row.ServerHealthStatus = v1alpha1.StatusAbnormal
			default:
				row.ServerHealthStatus = v1alpha1.StatusUnavailable
			}
		}
		r.health.Rows = append(r.health.Rows, row)
	}
}
