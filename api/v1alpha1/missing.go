// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Address returns the server or pod, the address and the port of a backend, such
// as "pod shop/web-1 10.9.0.3:8080" or "i-1 10.0.0.1:30080".
func (in *MissingBackend) Address() string {
	backend := BackendStatus{ServerID: in.ServerID, ServerIP: in.ServerIP, Port: in.Port}
	if in.ServerID == "" && in.Pod != "" {
		backend.ServerID = "pod " + in.Pod
	}
	return backend.Address()
}

// Cause returns the diagnosis of a backend, with the fact and what to check, and
// what to check where no diagnosis is known.
func (in *MissingBackend) Cause() string {
	if in.Diagnosis == "" {
		return "not registered: check " + CheckController
	}
	return in.Diagnosis.cause(in.Diagnosis.Explain(), in.Pod, in.Node)
}
