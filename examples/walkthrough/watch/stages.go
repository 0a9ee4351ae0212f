package watch

import (
	"slices"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/tokencheck"
)

// stageNames contains the name of a stage for each step of a check. Package tokencheck defines the
// steps, and the walkthrough shows the stages. Steps that are not in stageNames belong to the stage
// "claims".
var stageNames = map[string]string{
	tokencheck.StepToken: "credentials", tokencheck.StepHeader: "credentials",
	tokencheck.StepIntrospection: "introspection", tokencheck.StepKeys: "key",
	tokencheck.StepSignature: "signature", tokencheck.StepUser: "user", tokencheck.StepRoute: "scopes",
}

var stateNames = map[tokencheck.State]string{
	tokencheck.Held: Passed, tokencheck.Failed: Failed, tokencheck.Unknown: Unknown,
	tokencheck.NotReached: NotReached,
}

// stagesOf returns the stages of the check of a request, in their order. e is the event of the
// request that xenaauth reported. c contains what else is known about the check. policy says
// whether the route of the request has a policy.
func stagesOf(e xenaauth.Event, c tokencheck.Check, policy bool) (list []Stage) {
	c.Refusal = e.Err
	for _, step := range tokencheck.Explain(c).Steps {
		name, ok := stageNames[step.Name]
		if !ok {
			name = "claims"
		}
		if len(list) == 0 || list[len(list)-1].Name != name {
			list = append(list, Stage{Name: name, State: Passed, Found: step.Found})
		}
		list[len(list)-1].add(step)
	}
	// the token could not be read, so it is not known which stages a check of this token has
	if list[0].State != Passed {
		list = list[:1]
		for _, name := range []string{"claims", "key", "signature", "user", "scopes"} {
			list = append(list, Stage{Name: name, State: NotReached})
		}
	}
	for i := range list {
		if s := &list[i]; e.Source == xenaauth.SourceCache && slices.Contains([]string{"key", "signature"}, s.Name) {
			*s = Stage{Name: s.Name, State: Skipped, Found: "Done for an earlier request."}
			// an error without an inner error: the reason of the refusal says all that is known
		} else if s.State == Failed && e.Err.Err == nil {
			s.Why = e.Err.Detail()
		}
	}
	list = slices.Insert(list, 1, cacheStage(e, list[0].State))
	return append(list, lastStages(e, &list[len(list)-1], policy)...)
}

// Stage.add adds a step of package tokencheck to a stage. If a step did not pass, the stage gets
// the state of the first such step.
func (s *Stage) add(step tokencheck.Step) {
	state := stateNames[step.State]
	s.Parts = append(s.Parts, Part{step.Name, state, step.Found, step.Why})
	if s.State == Passed && state != Passed {
		s.State, s.Found, s.Why, s.Fix = state, "", step.Why, step.Fix
	}
}

// cacheStage returns the stage "cache", which says whether the cache of the API contained the
// token. The stage before it is "credentials", and credentialsState is the state of that stage.
func cacheStage(e xenaauth.Event, credentialsState string) Stage {
	s := Stage{Name: "cache", State: Passed}
	switch {
	case credentialsState != Passed:
		s.State = NotReached
	case e.Source == xenaauth.SourceCache:
		s.Found = "Yes. What can change, such as the time, is checked again."
	case e.Source != "":
		s.Found = "No, this token is new."
	default:
		s.State, s.Found = Skipped, "For a refused token, xenaauth does not report this."
	}
	return s
}

// lastStages returns the stages "policy" and "handler", which follow the stage "scopes". tokencheck
// has only one step for the scopes and the policy. If the policy refused the user, lastStages moves
// the failure from the stage "scopes" to the stage "policy".
func lastStages(e xenaauth.Event, scopes *Stage, policy bool) []Stage {
	ours, handler := Stage{Name: "policy", State: NotReached}, Stage{Name: "handler", State: NotReached}
	switch {
	case e.Err == nil && policy:
		ours.State, handler.State = Passed, Passed
	case e.Err == nil:
		ours.State, ours.Found, handler.State = Skipped, "This route has no policy.", Passed
	case e.Err.Reason == xenaauth.ReasonForbidden:
		ours.State, ours.Why = Failed, scopes.Why
		scopes.State, scopes.Why, scopes.Fix, scopes.Parts = Passed, "", "", nil
	}
	return []Stage{ours, handler}
}
