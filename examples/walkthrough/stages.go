package main

import "github.com/xenaauth/xenaauth"

// asks are the stages with their questions, in the order in which xenaauth takes them.
var asks = []Stage{
	{Name: "credentials", Asks: "Is there one well-formed access token?"},
	{Name: "cache", Asks: "Was this token checked before?"},
	{Name: "claims", Asks: "Is the token for this API, from this issuer, and valid now?"},
	{Name: "key", Asks: "Which key of the issuer has signed it?"},
	{Name: "signature", Asks: "Did that key really sign this text?"},
	{Name: "policy", Asks: "Who is the user, and was the access revoked?"},
	{Name: "scopes", Asks: "Does the token allow what the route requires?"},
	{Name: "handler", Asks: "The data of the user."},
}

// stagesOf returns the stages of a request from the event of its check.
func stagesOf(e xenaauth.Event) []Stage {
	stages := append([]Stage(nil), asks...)
	end := len(stages)
	if e.Err != nil {
		end = failing(e.Err.Reason)
	}
	for i := range stages {
		switch {
		case i < end:
			stages[i].State = Passed
		case i > end:
			stages[i].State = NotReached
		default:
			stages[i].State = Failed
			stages[i].Why = e.Err.Error()
		}
	}
	return stages
}

func failing(r xenaauth.Reason) int {
	switch r {
	case xenaauth.ReasonMissingToken, xenaauth.ReasonMalformedRequest, xenaauth.ReasonMalformedToken, xenaauth.ReasonAlgorithm:
		return 0
	case xenaauth.ReasonUnknownKey, xenaauth.ReasonUnavailable, xenaauth.ReasonInactive:
		return 3
	case xenaauth.ReasonSignature:
		return 4
	case xenaauth.ReasonSubject, xenaauth.ReasonRevoked:
		return 5
	case xenaauth.ReasonInsufficientScope, xenaauth.ReasonForbidden:
		return 6
	}
	return 2
}
