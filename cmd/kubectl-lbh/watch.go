// SPDX-License-Identifier: Apache-2.0

package main

import (
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

// A happening is an object before and after; nil where it was not or is no more.
type happening struct {
	before, after *v1alpha1.LoadBalancerHealth
}

// A view shows a fleet and what happens to it.
type view interface {
	// show is called with everything at first, and after each happening.
	show(objects []v1alpha1.LoadBalancerHealth, told []line) error
	// tick is called every second, for a terminal that has another size.
	tick() error
	close() error
}

// A line tells of a change, and when it was seen.
type line struct {
	at     time.Time
	object string
	change
}

func (l line) render(colored bool) string {
	return l.at.Local().Format("15:04:05") + "  " + tame(l.object) + "  " + l.color.paint(l.text, colored)
}

func runWatch(ctx context.Context, o *options, names []string) error {
	if err := o.eitherNames(names); err != nil {
		return err
	}
	c, err := o.client()
	if err != nil {
		return err
	}
	if _, err := c.list(ctx, o.filter()); err != nil { // say at once what is wrong
		return err
	}
	var v view = &lines{o: o, namespace: c.namespace}
	if isTerminal(o.Out) {
		v = newScreen(o, c.namespace)
	}
	return errors.Join(follow(ctx, o, c, names, v), v.close())
}

// follow keeps a view up to date until ctx ends, which Ctrl-C makes it do.
func follow(ctx context.Context, o *options, c *client, names []string, v view) error {
	happenings, synced, err := c.happenings(ctx, o.filter())
	if err != nil {
		return err
	}
	f := &follower{o: o, c: c, names: names, view: v, fleet: map[cache.ObjectName]*v1alpha1.LoadBalancerHealth{}, outdated: map[cache.ObjectName]bool{}}
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
			f.silent() // the table says it
			err = f.show(nil)
		case h := <-happenings:
			err = f.take(h)
		}
	}
	return err
}

// A follower is a view and what it shows.
type follower struct {
	o        *options
	c        *client
	names    []string // none: all
	view     view
	fleet    map[cache.ObjectName]*v1alpha1.LoadBalancerHealth
	outdated map[cache.ObjectName]bool // those that were said to be
	complete bool                      // once what was there at first is in the fleet
}

func (f *follower) tick() error {
	if !f.complete {
		return nil
	}
	if news := append(f.c.link.news(f.o.now()), f.silent()...); len(news) > 0 {
		return f.show(news)
	}
	return f.view.tick()
}

// silent tells of objects that have not been updated for too long, and of those
// that are again, each once.
func (f *follower) silent() []line {
	maps.DeleteFunc(f.outdated, func(name cache.ObjectName, _ bool) bool { return f.fleet[name] == nil })
	var told []line
	for name, object := range f.fleet {
		silence := f.o.silence(object)
		if f.outdated[name] == (silence != "") {
			continue
		}
		c := change{"updated again", green}
		if f.outdated[name] = silence != ""; f.outdated[name] {
			c = change{silence, yellow}
		}
		told = append(told, line{f.o.now(), title(name, f.c.namespace == ""), c})
	}
	slices.SortFunc(told, func(a, b line) int { return strings.Compare(a.object, b.object) })
	return told
}

// title is what an object is called in a line.
func title(name cache.ObjectName, namespaces bool) string {
	if namespaces {
		return name.String()
	}
	return name.Name
}

func (f *follower) take(h happening) error {
	if !wanted(h, f.names) {
		return nil
	}
	told := apply(f.fleet, h, f.o.now(), f.c.namespace == "")
	if !f.complete {
		return nil
	}
	return f.show(told)
}

func (f *follower) show(told []line) error { return f.view.show(f.o.sorted(f.fleet), told) }

func wanted(h happening, names []string) bool {
	object := h.after
	if object == nil {
		object = h.before
	}
	return len(names) == 0 || slices.Contains(names, object.Name)
}

// apply brings a fleet up to date and returns what is to be told.
func apply(fleet map[cache.ObjectName]*v1alpha1.LoadBalancerHealth, h happening, now time.Time, namespaces bool) []line {
	object := h.after
	if object == nil {
		object = h.before
	}
	name := cache.ObjectName{Namespace: object.Namespace, Name: object.Name}
	called := title(name, namespaces)
	before := fleet[name]
	switch {
	case h.after == nil:
		delete(fleet, name)
		return []line{{now, called, change{"deleted", faint}}}
	case before == nil:
		fleet[name] = h.after
		return []line{{now, called, change{"is new", plain}}}
	}
	fleet[name] = h.after
	var told []line
	for _, c := range changes(before, h.after) {
		told = append(told, line{now, called, c})
	}
	return told
}

func (o *options) sorted(fleet map[cache.ObjectName]*v1alpha1.LoadBalancerHealth) []v1alpha1.LoadBalancerHealth {
	objects := make([]v1alpha1.LoadBalancerHealth, 0, len(fleet))
	for _, object := range fleet {
		objects = append(objects, *object)
	}
	o.sortWorstFirst(objects)
	return objects
}

// happenings lists and watches, over interruptions too. synced closes when what
// was there at first has been sent.
func (c *client) happenings(ctx context.Context, filter metav1.ListOptions) (sent <-chan happening, synced <-chan struct{}, err error) {
	happenings := make(chan happening)
	send := func(before, after any) {
		var h happening
		h.before, _ = before.(*v1alpha1.LoadBalancerHealth)
		h.after, _ = after.(*v1alpha1.LoadBalancerHealth)
		if tombstone, ok := before.(cache.DeletedFinalStateUnknown); ok {
			h.before, _ = tombstone.Obj.(*v1alpha1.LoadBalancerHealth)
		}
		if h.before == nil && h.after == nil {
			return
		}
		select {
		case happenings <- h:
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
	return happenings, complete, nil
}

// lines is the view of a pipe: the table once, and then a line for each change.
type lines struct {
	o         *options
	namespace string
	shown     bool
}

func (v *lines) show(objects []v1alpha1.LoadBalancerHealth, told []line) error {
	if !v.shown {
		v.shown = true
		if len(objects) == 0 {
			_, err := fmt.Fprintln(v.o.ErrOut, none(v.namespace))
			return err
		}
		return fleet(objects, v.namespace == "", false, v.o).write(v.o.Out, v.o.colored(v.o.Out))
	}
	var text strings.Builder
	for _, l := range told {
		text.WriteString(l.render(v.o.colored(v.o.Out)) + "\n")
	}
	_, err := fmt.Fprint(v.o.Out, text.String())
	return err
}

func (*lines) tick() error  { return nil }
func (*lines) close() error { return nil }
