-- SPDX-License-Identifier: Apache-2.0

-- The health of a LoadBalancerHealth, for Argo CD. argocd-cm.yaml has the same
-- script, in the form that Argo CD reads.

local status = obj.status or {}
local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end

local function is(kind, value)
  return conditions[kind] ~= nil and conditions[kind].status == value
end

local function because(health, kind, otherwise)
  local condition = conditions[kind]
  if condition == nil then
    return {status = health, message = otherwise}
  end
  return {status = health, message = condition.reason .. ": " .. (condition.message or "")}
end

-- A request is pending until a successful observation handles it. Before its first attempt,
-- the conditions are older than the request.
local request = (obj.metadata.annotations or {})["slb.lbhealth.dev/observe-requested-at"]
local pending = request ~= nil and request ~= "" and request ~= status.lastHandledObserveRequest
local attempted = not pending or request == status.lastAttemptedObserveRequest

local reconciling = is("Reconciling", "True")
local requested = reconciling and conditions["Reconciling"].reason == "ObservationRequested"

if obj.spec.suspend then
  return {status = "Suspended", message = "Suspended: spec.suspend is true"}
end
-- Conditions of an older spec or of another load balancer do not apply.
if status.observedGeneration ~= obj.metadata.generation or (reconciling and not requested) then
  return because("Progressing", "Reconciling", "Progressing: this generation was not observed yet")
end
if attempted and is("Stalled", "True") then
  return because("Degraded", "Stalled")
end
if attempted and is("Ready", "False") then
  return because("Degraded", "Ready")
end
if pending or reconciling then
  return because("Progressing", "Reconciling", "ObservationRequested: the requested observation is still pending")
end
if is("Ready", "True") then
  return because("Healthy", "Ready")
end
-- Unknown is never reported as unhealthy.
return because("Progressing", "Ready", "Pending: there is no observation yet")
