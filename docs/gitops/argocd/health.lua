-- SPDX-License-Identifier: Apache-2.0

-- The health of a LoadBalancerHealth, for Argo CD. argocd-cm.yaml holds the same
-- script, in the form in which Argo CD reads it.

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

-- What was said of an older spec says nothing of this one.
if status.observedGeneration ~= obj.metadata.generation or is("Reconciling", "True") then
  return because("Progressing", "Reconciling", "Progressing: this generation was not observed yet")
end
if obj.spec.suspend then
  return because("Suspended", "Ready", "Suspended: spec.suspend is true")
end
if is("Stalled", "True") then
  return because("Degraded", "Stalled")
end
if is("Ready", "True") then
  return because("Healthy", "Ready")
end
if is("Ready", "False") then
  return because("Degraded", "Ready")
end
-- Unknown is never reported as unhealthy.
return because("Progressing", "Ready", "Pending: there is no answer yet")
