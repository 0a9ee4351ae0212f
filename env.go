package xenaauth

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// ConfigFromEnv reads a [Config] from the environment, so that a service needs no code to be pointed at another issuer:
//
//	XENA_ISSUER                            Issuer
//	XENA_AUDIENCE                          Audiences, separated by commas or spaces
//	XENA_METADATA_URL                      MetadataURL
//	XENA_KEY_SET_URL                       KeySetURL
//	XENA_INTROSPECTION_ENDPOINT            Introspection.Endpoint
//	XENA_INTROSPECTION_CLIENT_ID           Introspection.ClientID, and that there is an Introspection at all
//	XENA_INTROSPECTION_CLIENT_SECRET       Introspection.ClientSecret
//	XENA_INTROSPECTION_CLIENT_SECRET_FILE  a file that holds it, one trailing line break not counted
//
// What is not set keeps its zero value. The error tells every variable that can't be used; whether the whole makes sense
// is for [Config.Validate] to tell.
func ConfigFromEnv() (Config, error) {
	c := Config{
		Issuer:      os.Getenv("XENA_ISSUER"),
		MetadataURL: os.Getenv("XENA_METADATA_URL"),
		KeySetURL:   os.Getenv("XENA_KEY_SET_URL"),
		Audiences: strings.FieldsFunc(os.Getenv("XENA_AUDIENCE"), func(r rune) bool {
			return r == ',' || r == ' '
		}),
	}
	const prefix = "XENA_INTROSPECTION_"
	i := Introspection{
		Endpoint:     os.Getenv(prefix + "ENDPOINT"),
		ClientID:     os.Getenv(prefix + "CLIENT_ID"),
		ClientSecret: os.Getenv(prefix + "CLIENT_SECRET"),
	}
	var errs []error
	if file := os.Getenv(prefix + "CLIENT_SECRET_FILE"); file != "" {
		if i.ClientSecret != "" {
			errs = append(errs, fmt.Errorf("xenaauth: %[1]sCLIENT_SECRET and %[1]sCLIENT_SECRET_FILE exclude each other", prefix))
		}
		secret, err := os.ReadFile(file)
		if err != nil {
			errs = append(errs, fmt.Errorf("xenaauth: %sCLIENT_SECRET_FILE: %w", prefix, err))
		}
		i.ClientSecret = strings.TrimSuffix(strings.TrimSuffix(string(secret), "\n"), "\r")
	}
	switch {
	case i.ClientID != "":
		c.Introspection = &i
	case i != Introspection{}:
		errs = append(errs, fmt.Errorf("xenaauth: %sCLIENT_ID is missing", prefix))
	}
	return c, errors.Join(errs...)
}
