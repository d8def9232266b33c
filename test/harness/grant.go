// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// User returns the subject of a user, such as one of ControlPlane.AddUser.
func User(name string) rbacv1.Subject {
	return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}
}

// Grant creates the role of a file of config/rbac, and binds it to a subject: a Role
// in the namespace, or, without a namespace, a ClusterRole. The role has no rules about
// the resources of without.
func Grant(ctx context.Context, c client.Client, subject rbacv1.Subject, namespace, file string, without ...string) error {
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	content, err := os.ReadFile(filepath.Join(root, "config", "rbac", file))
	if err != nil {
		return err
	}
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole"}
	clusterRole := &rbacv1.ClusterRole{}
	if err := yaml.UnmarshalStrict(content, clusterRole); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	clusterRole.Rules = slices.DeleteFunc(clusterRole.Rules, func(r rbacv1.PolicyRule) bool {
		return slices.ContainsFunc(r.Resources, func(resource string) bool { return slices.Contains(without, resource) })
	})
	role := client.Object(clusterRole)
	if namespace != "" {
		role, ref.Kind = &rbacv1.Role{ObjectMeta: clusterRole.ObjectMeta, Rules: clusterRole.Rules}, "Role"
	}
	ref.Name = role.GetName() + "-" + subject.Name
	role.SetName(ref.Name)
	role.SetNamespace(namespace)
	meta := metav1.ObjectMeta{Namespace: namespace, Name: ref.Name}
	binding := client.Object(&rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: []rbacv1.Subject{subject}})
	if namespace != "" {
		binding = &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: []rbacv1.Subject{subject}}
	}
	for _, object := range []client.Object{role, binding} {
		if err := c.Create(ctx, object); err != nil {
			return fmt.Errorf("grant %s to %s: %w", file, subject.Name, err)
		}
	}
	return nil
}
