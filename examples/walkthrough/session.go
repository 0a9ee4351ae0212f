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
	csrf  string // the CSRF token in each form of the application
	leave string // the parameter state in the logout form
	calls watch.Log

	mu    sync.Mutex
	state state
}

// state is the part of a session that changes.
type state struct {
	client   *pages.Client // client is nil before the application is registered
	request  string        // the parameter state of the current authorization request, or ""
	verifier string        // the PKCE code verifier of this request
	denied   string        // the error that the issuer has sent, or ""
	tokens   *oauth2.Token // tokens is nil before the user consented
	issued   time.Time     // when the application got the tokens
	idToken  string
	past     string // the access token that the session had before the logout
	hours    int    // the number of times that the user let the hour pass
	done     pages.Done
	notice   string // a text for the next page about the result of the last action
	failure  string // a text for the next page about the failure of the last action
}

// get returns a copy of the state.
func (s *session) get() state {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// change calls f to change the state, and returns a copy of the state before the change.
func (s *session) change(f func(*state)) (before state) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before = s.state
	f(&s.state)
	return before
}

// accept stores the tokens that the issuer has sent. They complete the steps with these names.
func (s *state) accept(tokens *oauth2.Token, steps ...string) {
	s.done.Add(steps...)
	s.tokens, s.issued, s.hours, s.denied = tokens, time.Now(), 0, ""
	if id, ok := tokens.Extra("id_token").(string); ok {
		s.idToken = id
	}
}

// forget deletes the tokens after a logout. It keeps the access token in the field past, so that
// the user can see that the API refuses this token.
func (s *state) forget() {
	if s.tokens != nil {
		s.past = s.tokens.AccessToken
	}
	s.tokens, s.idToken, s.hours = nil, "", 0
	s.done.Add("after")
}

// sessions contains the sessions of all browsers, by id. client is the client of new sessions.
type sessions struct {
	table  *bounded.Table[*session]
	client *pages.Client
}

const (
	cookieName  = "walkthrough"
	maxSessions = 100
)

// of returns the session to which a request belongs. If there is no session, it makes a new one.
func (s sessions) of(w http.ResponseWriter, r *http.Request) *session {
	if c, err := r.Cookie(cookieName); err == nil {
		if found, ok := s.table.Get(c.Value); ok {
			return found
		}
	}
	fresh := &session{csrf: rand.Text(), leave: rand.Text(), state: state{client: s.client}}
	s.put(w, fresh)
	return fresh
}

// renew gives a session a new id after a login. An attacker may have chosen the old id (session
// fixation).
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
	// If the server uses https, also set Secure, and let the name begin with "__Host-".
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// same compares a secret text that a browser has sent with the expected text, in constant time.
func same(sent, want string) bool {
	return want != "" && subtle.ConstantTimeCompare([]byte(sent), []byte(want)) == 1
}
