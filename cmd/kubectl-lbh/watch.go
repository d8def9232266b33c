// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
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
	// tick is called every second, for ages.
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
	if len(names) > 0 && (o.allNamespaces || o.selector != "") {
		return errors.New("write either names or -A and -l")
	}
	c, err := o.client()
	if err != nil {
		return err
	}
	if _, err := c.list(ctx, o.selector); err != nil { // say at once what is wrong
		return err
	}
	var v view = &lines{o: o, namespaces: c.namespace == ""}
	if isTerminal(o.Out) {
		v = newScreen(o, c.namespace == "")
	}
	return errors.Join(follow(ctx, o, c, names, v), v.close())
}

// follow keeps a view up to date until ctx ends.
func follow(ctx context.Context, o *options, c *client, names []string, v view) error {
	happenings, synced, err := c.happenings(ctx, o.selector)
	if err != nil {
		return err
	}
	fleet := map[cache.ObjectName]*v1alpha1.LoadBalancerHealth{}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	complete := false
	for {
		var told []line
		select {
		case <-ctx.Done():
			return nil // Ctrl-C is how it ends
		case <-ticker.C:
			if err := v.tick(); err != nil {
				return err
			}
			continue
		case <-synced:
			synced, complete = nil, true
		case h := <-happenings:
			if !wanted(h, names) {
				continue
			}
			told = apply(fleet, h, o.now(), c.namespace == "")
			if !complete {
				continue
			}
		}
		if err := v.show(sorted(fleet), told); err != nil {
			return err
		}
	}
}

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
	title := name.Name
	if namespaces {
		title = name.String()
	}
	before := fleet[name]
	switch {
	case h.after == nil:
		delete(fleet, name)
		return []line{{now, title, change{"deleted", faint}}}
	case before == nil:
		fleet[name] = h.after
		return []line{{now, title, change{"is new", plain}}}
	}
	fleet[name] = h.after
	var told []line
	for _, c := range changes(before, h.after) {
		told = append(told, line{now, title, c})
	}
	return told
}

func sorted(fleet map[cache.ObjectName]*v1alpha1.LoadBalancerHealth) []v1alpha1.LoadBalancerHealth {
	objects := make([]v1alpha1.LoadBalancerHealth, 0, len(fleet))
	for _, object := range fleet {
		objects = append(objects, *object)
	}
	sortWorstFirst(objects)
	return objects
}

// happenings lists and watches, over interruptions too. synced closes when what
// was there at first has been sent.
func (c *client) happenings(ctx context.Context, selector string) (sent <-chan happening, synced <-chan struct{}, err error) {
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
	informer := cache.NewSharedInformer(c.listWatch(func(l *metav1.ListOptions) { l.LabelSelector = selector }), &v1alpha1.LoadBalancerHealth{}, 0)
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
	o          *options
	namespaces bool
	shown      bool
}

func (v *lines) show(objects []v1alpha1.LoadBalancerHealth, told []line) error {
	if !v.shown {
		v.shown = true
		return fleet(objects, v.namespaces, false, v.o).write(v.o.Out, v.o.colored(v.o.Out))
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
