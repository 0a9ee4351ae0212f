// Package doctor implements the command "doctor". The command reads the configuration of a service,
// and checks whether the service can check tokens with it. For this, a Validator fetches the
// documents of the issuer and decides whether it can use them. The command records the issuer's
// responses, and explains the result.
package doctor

import (
	"context"
	"errors"
	"log/slog"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/cmd/internal/config"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/console"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/recording"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/service"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/setting"
	"github.com/xenaauth/xenaauth/dpop"
)

// Cmd is the command "doctor". It checks the configuration of a service, and the issuer.
type Cmd struct {
	Config []string `short:"c" sep:"none" type:"existingfile" placeholder:"FILE" help:"Configuration file of xenagate; if not set, the variable XENAGATE_CONFIG. The environment sets what the file lacks. May be repeated: then the keys of the issuers are compared too."`
	Issuer []string `sep:"none" placeholder:"URL" help:"Another issuer, whose documents are checked, and whose keys are compared with those of the configured issuer. May be repeated."`
}

// Help returns the help text of the command "doctor".
func (*Cmd) Help() string {
	return `Run it where the service runs, with the same variables and the same file. Exit status: 0 tokens can be
checked, 1 something is wrong, 3 the issuer can't be reached.`
}

// Run runs the command "doctor".
func (cmd *Cmd) Run(ctx context.Context, c *console.Console) error {
	paths := cmd.Config
	if file := service.DefaultFile(); len(paths) == 0 && file != "" {
		paths = []string{file}
	}
	var subjects []subject
	for _, path := range paths {
		subjects = append(subjects, fromFile(path))
	}
	if len(paths) == 0 {
		cfg, err := xenaauth.ConfigFromEnv()
		subjects = append(subjects, fromEnvironment(cfg, err))
	}
	for _, url := range cmd.Issuer {
		subjects = append(subjects, fromURL(url, subjects[0].cfg.AllowHTTP))
	}
	var lists []*Checklist
	var keys []publishedKeys
	for _, s := range subjects {
		l, k := s.examine(ctx)
		lists, keys = append(lists, l), append(keys, k)
	}
	list := lists[0]
	list.Others = lists[1:]
	compareKeys(list, keys)
	if err := c.Print(list); err != nil {
		return err
	}
	return list.err()
}

// A subject is what the command "doctor" examines: the configuration of a service, or only an
// issuer.
type subject struct {
	title    string // title names the file or issuer; "" for the environment
	cfg      xenaauth.Config
	names    setting.Names
	mistakes []string // mistakes are the mistakes in the configuration
	file     *config.Config
	// issuerOnly is true if the command examines only the documents of the issuer, and not the
	// configuration of a service.
	issuerOnly bool
}

func fromEnvironment(cfg xenaauth.Config, readErr error) subject {
	s := subject{cfg: cfg}
	if readErr == nil {
		readErr = cfg.Validate()
	}
	s.mistakes = s.names.Mistakes(errors.Join(readErr, dpop.FromEnv(new(xenaauth.Options), dpop.Config{})))
	return s
}

// fromURL returns what the command "doctor" examines if the operator gives only the URL of an
// issuer.
func fromURL(url string, allowHTTP bool) subject {
	s := subject{
		title: "--issuer " + setting.QuoteForOutput(url), names: setting.Names{Issuer: "--issuer"}, issuerOnly: true,
		cfg: xenaauth.Config{Issuer: url, AllowAnyAudience: true, AllowHTTP: allowHTTP},
	}
	s.mistakes = s.names.Mistakes(s.cfg.Validate())
	return s
}

// subject.examine makes all checks of a configuration or an issuer. It returns the checklist, and
// the keys that the issuer publishes.
func (s subject) examine(ctx context.Context) (*Checklist, publishedKeys) {
	l := &Checklist{Title: s.title, names: s.names}
	cfg := s.cfg
	if cfg.Issuer == "" {
		cfg.Issuer = xenaauth.IssuerProduction
	}
	if !l.checkConfiguration(s) {
		for _, name := range []string{"metadata", "key set", "clock", "introspection"} {
			l.add(Check{Name: name, State: Skipped, Found: "not looked at: correct the " +
				"configuration first"})
		}
		return l, publishedKeys{}
	}
	l.Issuer = cfg.Issuer
	// The log is discarded, because the checklist reports everything that the log would report.
	cfg.Logger = slog.New(slog.DiscardHandler)
	recorder, recorded := recording.New(cfg)
	e := examination{Checklist: l, cfg: cfg, recorder: recorder}
	e.checkDocuments(ctx, recorded)
	if !s.issuerOnly {
		e.checkIntrospection(ctx, recorded)
	}
	e.checkClock()
	e.checkCertificate()
	call, _ := recorder.LastCall(recording.JWKS)
	return l, publishedKeys{issuer: cfg.Issuer, keys: keysIn(call.Body)}
}

// An examination checks one configuration or issuer. All its checks add their results to the same
// checklist, and read the same recorded responses of the issuer.
type examination struct {
	*Checklist
	cfg      xenaauth.Config
	recorder *recording.Recorder
}
