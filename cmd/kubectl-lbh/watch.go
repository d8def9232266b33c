// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// update is an object before and after an event; nil before it was added, and
// after it was deleted.
type update struct {
	before, after *v1alpha1.LoadBalancerHealth
}

// view shows a fleet and the log of its changes.
type view interface {
	// show is called with the selected objects, first without entries, and then after
	// each update with the new entries.
	show(s selection, entries []logEntry) error
	// tick is called every second, as the terminal may have been resized.
	tick() error
	close() error
}

// logEntry is a change of an object, with its time.
type logEntry struct {
	at     time.Time
	object string
	change
}

func (e logEntry) render(colored bool) string {
	return e.at.Local().Format("15:04:05") + "  " + sanitize(e.object) + "  " + e.color.paint(e.text, colored)
}

func runWatch(ctx context.Context, o *options, names []string, wide bool) error {
	if err := o.validateSelection(names); err != nil {
		return err
	}
	if _, err := o.sortPath(); err != nil {
		return err
	}
	c, err := o.client()
	if err != nil {
		return err
	}
	if _, err := c.list(ctx, o.filter()); err != nil { // an informer would retry without an error
		return err
	}
	columns := optionalColumns{namespaces: c.namespace == "", wide: wide}
	var v view = &pipeView{o: o, namespace: c.namespace, columns: columns}
	if isTerminal(o.Out) {
		v = &screen{o: o, namespace: c.namespace, columns: columns}
	}
	return errors.Join(runView(ctx, o, c, names, v), v.close())
}

// runView keeps a view up to date until ctx is done, as after Ctrl-C.
func runView(ctx context.Context, o *options, c *client, names []string, v view) error {
	updates, synced, err := c.updates(ctx, o.filter())
	if err != nil {
		return err
	}
	f := &fleetView{o: o, c: c, names: names, view: v, fleet: map[cache.ObjectName]*v1alpha1.LoadBalancerHealth{}, notUpdated: map[cache.ObjectName]bool{}}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for err == nil {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			err = f.tick()
		case <-synced:
			synced, f.complete = nil, true
			f.notUpdatedEntries() // the table shows these
			err = f.show(nil)
		case u := <-updates:
			err = f.onUpdate(u)
		}
	}
	return err
}

// fleetView is a view with its data.
type fleetView struct {
	o          *options
	c          *client
	names      []string // none: all
	view       view
	fleet      map[cache.ObjectName]*v1alpha1.LoadBalancerHealth
	notUpdated map[cache.ObjectName]bool // those with such an entry
	complete   bool                      // true when the fleet has all initial objects
	shown      bool
}

func (f *fleetView) tick() error {
	if !f.complete {
		return nil
	}
	if entries := append(f.c.connection.transition(f.o.now()), f.notUpdatedEntries()...); len(entries) > 0 {
		return f.show(entries)
	}
	return f.view.tick()
}

// notUpdatedEntries are the entries about objects whose status is no longer
// current, or current again, once each.
func (f *fleetView) notUpdatedEntries() []logEntry {
	maps.DeleteFunc(f.notUpdated, func(name cache.ObjectName, _ bool) bool { return f.fleet[name] == nil })
	var entries []logEntry
	for name, object := range f.fleet {
		warning := f.o.notUpdated(object)
		if f.notUpdated[name] == (warning != "") || !f.selects(object) {
			continue
		}
		c := change{"updated again", green}
		if f.notUpdated[name] = warning != ""; f.notUpdated[name] {
			c = change{warning, yellow}
		}
		entries = append(entries, logEntry{f.o.now(), title(name, f.c.namespace == ""), c})
	}
	slices.SortFunc(entries, func(a, b logEntry) int { return strings.Compare(a.object, b.object) })
	return entries
}

// title is the name of an object in an entry.
func title(name cache.ObjectName, namespaces bool) string {
	if namespaces {
		return name.String()
	}
	return name.Name
}

func (f *fleetView) onUpdate(u update) error {
	if !u.matches(f.names) {
		return nil
	}
	before := f.fleet[objectName(u.object())]
	entries := u.apply(f.fleet, f.o.now(), f.c.namespace == "")
	if !f.complete {
		return nil
	}
	hidden := f.o.unhealthy && f.isReady(before) && f.isReady(u.after)
	if hidden || !f.selects(before) && !f.selects(u.after) {
		entries = nil // neither state is in the table
	}
	return f.show(entries)
}

// isReady reports whether a state of an object, if any, is Ready.
func (f *fleetView) isReady(object *v1alpha1.LoadBalancerHealth) bool {
	return object == nil || item{options: f.o, object: object}.isReady()
}

// selects returns whether a state of an object, if any, is of --product.
func (f *fleetView) selects(object *v1alpha1.LoadBalancerHealth) bool {
	return object != nil && f.o.selects(object)
}

func (f *fleetView) show(entries []logEntry) error {
	items := make([]item, 0, len(f.fleet))
	for _, object := range f.fleet {
		if f.o.selects(object) {
			items = append(items, item{options: f.o, object: object})
		}
	}
	s, err := f.o.selectItems(items)
	if err != nil && !f.shown { // later the last object with the field of --sort-by may be deleted
		return err
	}
	f.shown = true
	return f.view.show(s, entries)
}

func objectName(object *v1alpha1.LoadBalancerHealth) cache.ObjectName {
	return cache.ObjectName{Namespace: object.Namespace, Name: object.Name}
}

// object is the newest state of the object.
func (u update) object() *v1alpha1.LoadBalancerHealth { return cmp.Or(u.after, u.before) }

// matches reports whether the object has one of the names; none: all do.
func (u update) matches(names []string) bool {
	return len(names) == 0 || slices.Contains(names, u.object().Name)
}

// apply updates a fleet, and returns the entries about the changes.
func (u update) apply(fleet map[cache.ObjectName]*v1alpha1.LoadBalancerHealth, now time.Time, namespaces bool) []logEntry {
	object := u.object()
	name := objectName(object)
	label := title(name, namespaces)
	before := fleet[name]
	switch {
	case u.after == nil:
		delete(fleet, name)
		return []logEntry{{now, label, change{"deleted", faint}}}
	case before == nil:
		fleet[name] = u.after
		return []logEntry{{now, label, change{"added", plain}}}
	}
	fleet[name] = u.after
	var entries []logEntry
	for _, c := range changes(before, u.after) {
		entries = append(entries, logEntry{now, label, c})
	}
	return entries
}

// updates lists and watches the objects, and reconnects after failures. synced is
// closed after the initial objects were sent.
func (c *client) updates(ctx context.Context, filter metav1.ListOptions) (sent <-chan update, synced <-chan struct{}, err error) {
	updates := make(chan update)
	send := func(before, after any) {
		var u update
		u.before, _ = before.(*v1alpha1.LoadBalancerHealth)
		u.after, _ = after.(*v1alpha1.LoadBalancerHealth)
		if tombstone, ok := before.(cache.DeletedFinalStateUnknown); ok {
			u.before, _ = tombstone.Obj.(*v1alpha1.LoadBalancerHealth)
		}
		if u.before == nil && u.after == nil {
			return
		}
		select {
		case updates <- u:
		case <-ctx.Done():
		}
	}
	informer := cache.NewSharedInformer(c.listWatch(func(l *metav1.ListOptions) {
		l.LabelSelector, l.FieldSelector = filter.LabelSelector, filter.FieldSelector
	}), &v1alpha1.LoadBalancerHealth{}, 0)
	registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { send(nil, object) },
		UpdateFunc: func(before, after any) { send(before, after) },
		DeleteFunc: func(object any) { send(object, nil) },
	})
	if err != nil {
		return nil, nil, err
	}
	complete := make(chan struct{})
	go informer.RunWithContext(ctx)
	go func() {
		if cache.WaitForCacheSync(ctx.Done(), registration.HasSynced) {
			close(complete)
		}
	}()
	return updates, complete, nil
}

// pipeView is the view in a pipe: the table once, and then the entries.
type pipeView struct {
	o         *options
	namespace string
	columns   optionalColumns
	shown     bool
}

func (v *pipeView) show(s selection, entries []logEntry) error {
	if !v.shown {
		v.shown = true
		return v.o.writeFleet(s, v.namespace, v.columns)
	}
	var text strings.Builder
	for _, e := range entries {
		text.WriteString(e.render(v.o.colored(v.o.Out)) + "\n")
	}
	_, err := fmt.Fprint(v.o.Out, text.String())
	return err
}

func (*pipeView) tick() error  { return nil }
func (*pipeView) close() error { return nil }
