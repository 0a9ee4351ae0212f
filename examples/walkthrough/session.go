package main

import (
	"crypto/rand"
	"crypto/subtle"
	"net/http"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"github.com/xenaauth/xenaauth/examples/walkthrough/bounded"
	"github.com/xenaauth/xenaauth/examples/walkthrough/pages"
	"github.com/xenaauth/xenaauth/examples/walkthrough/watch"
)

// session contains what the application stores about a browser. A browser stores only a random id.
type session struct {
	csrf        string // the CSRF token in each form of the application
	logoutState string // the parameter state in the logout form of this session
	calls       watch.Log

	mu    sync.Mutex
	state state
}

// state is the part of a session that changes.
type state struct {
	client       *pages.Client // client is nil before the application is registered
	requestState string        // the parameter state of the current authorization request, or ""
	verifier     string        // the PKCE code verifier of this request
	denied       string        // the error that the issuer has sent, or ""
	tokens       *oauth2.Token // tokens is nil before the user consented
	issued       time.Time     // when the application got the tokens
	idToken      string
	pastToken    string // the access token that the session had before the logout
	hours        int    // how often the user has pressed the button "Let the hour pass"
	done         pages.Done
	notice       string // the result of the last action, in words for the next page
	failure      string // the reason why the last action failed, in words for the next page
}

// session.get returns a copy of the state.
func (s *session) get() state {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// session.update calls f to change the state, and returns a copy of the state before the change.
func (s *session) update(f func(*state)) (before state) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before = s.state
	f(&s.state)
	return before
}

// state.accept stores the tokens that the issuer has sent, and marks the given steps as done.
func (s *state) accept(tokens *oauth2.Token, steps ...string) {
	s.done.Add(steps...)
	s.tokens, s.issued, s.hours, s.denied = tokens, time.Now(), 0, ""
	if id, ok := tokens.Extra("id_token").(string); ok {
		s.idToken = id
	}
}

// state.forget deletes the tokens after a logout. It keeps the access token in pastToken, so that
// the user can see that the API refuses this token.
func (s *state) forget() {
	if s.tokens != nil {
		s.pastToken = s.tokens.AccessToken
	}
	s.tokens, s.idToken, s.hours = nil, "", 0
	s.done.Add("after")
}

// sessions contains all sessions, by id. client is the OAuth client with which a session begins.
type sessions struct {
	table  *bounded.Table[*session]
	client *pages.Client
}

const (
	cookieName  = "walkthrough"
	maxSessions = 100
)

// sessions.findOrCreate returns the session of the browser that has sent r, or a new session.
func (s sessions) findOrCreate(w http.ResponseWriter, r *http.Request) *session {
	if c, err := r.Cookie(cookieName); err == nil {
		if found, ok := s.table.Get(c.Value); ok {
			return found
		}
	}
	fresh := &session{csrf: rand.Text(), logoutState: rand.Text(), state: state{client: s.client}}
	s.put(w, fresh)
	return fresh
}

// sessions.renew gives a session a new id after a login. An attacker may have chosen the old id
// (session fixation).
func (s sessions) renew(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(cookieName); err == nil {
		if found, ok := s.table.Take(c.Value); ok {
			s.put(w, found)
		}
	}
}

func (s sessions) put(w http.ResponseWriter, value *session) {
	id := rand.Text()
	s.table.Put(id, value)
	// If your server uses https, also set Secure, and begin the name of the cookie with "__Host-".
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// isSame compares a secret text that a browser has sent with the expected text, in constant time.
func isSame(sent, want string) bool {
	return want != "" && subtle.ConstantTimeCompare([]byte(sent), []byte(want)) == 1
}
