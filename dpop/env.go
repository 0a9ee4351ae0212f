package dpop

import (
	"os"
	"slices"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/internal/envvar"
)

// This call of envvar.Support records that the program reads the variable XENA_DPOP. Without the
// record, xenaauth.ConfigFromEnv would refuse every value of this variable except off.
func init() { envvar.Support("XENA_DPOP") }

// FromEnv changes opts as the environment says:
//
//	XENA_DPOP            off, accepted or required; off is the default
//	XENA_PUBLIC_ORIGINS  Config.PublicOrigins, a list that is separated by commas or spaces
//
// With accepted and required, FromEnv adds a Proof to opts.Proofs. With required, it also sets
// opts.RequireProof. base contains the settings that the environment can't contain, for example a
// Replay store that several instances share. The zero Config is enough for a service with one
// instance. If XENA_PUBLIC_ORIGINS is not set, base.PublicOrigins is used.
//
// The error names every variable that cannot be used, and does not show its value. If the variables
// can be used and base can't, the error is that of [New]. After an error, FromEnv has changed
// nothing.
func FromEnv(opts *xenaauth.Options, base Config) error {
	e := envvar.NewReader("xenaauth", os.Getenv)
	mode := envvar.Word(e, "XENA_DPOP", map[string]string{
		"off": "off", "accepted": "accepted", "required": "required",
	})
	origins := e.List("XENA_PUBLIC_ORIGINS")
	for i, text := range origins {
		if _, err := parseOrigin(text); err != nil {
			e.Wrong("XENA_PUBLIC_ORIGINS", "has an element that is not an origin such as https://api.example: number %d of the list", i+1)
		}
	}
	isOn := mode == "accepted" || mode == "required"
	if isOn && len(origins) == 0 && len(base.PublicOrigins) == 0 {
		e.Wrong("XENA_PUBLIC_ORIGINS", "is missing: XENA_DPOP needs the origins that clients use, such as https://api.example")
	}
	if err := e.Err(); err != nil || !isOn {
		return err
	}
	if len(origins) > 0 {
		base.PublicOrigins = origins
	}
	proof, err := New(base)
	if err != nil {
		return err
	}
	opts.Proofs = append(slices.Clip(opts.Proofs), proof)
	opts.RequireProof = opts.RequireProof || mode == "required"
	return nil
}
