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

// session is what the application remembers about one browser. The browser has only a random id.
type session struct {
	csrf  string // in each form of the application
	leave string // the parameter state of the logout form
	calls watch.Log

	mu    sync.Mutex
	state state
}

// state is what changes in a session.
type state struct {
	client   *pages.Client // nil before the application is registered
	request  string        // the parameter state of the authorization request under way, or ""
	verifier string        // its PKCE code verifier
	denied   string        // the error with which the issuer has answered, or ""
	tokens   *oauth2.Token // nil before the user consented
	issued   time.Time     // of the tokens
	idToken  string
	past     string // the access token from before the logout
	hours    int    // how often the page let the hour pass
	notice   string // what the next page says about the last action
	failure  string // why the last action failed
}

// get returns a copy of the state.
func (s *session) get() state {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// change changes the state, and returns the state before.
func (s *session) change(f func(*state)) (before state) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before = s.state
	f(&s.state)
	return before
}

// accept stores new tokens.
func (s *state) accept(tokens *oauth2.Token) {
	s.tokens, s.issued, s.hours, s.denied = tokens, time.Now(), 0, ""
	if id, ok := tokens.Extra("id_token").(string); ok {
		s.idToken = id
	}
}

// forget forgets the tokens after a logout, except the access token: the page can show that the API
// refuses it.
func (s *state) forget() {
	if s.tokens != nil {
		s.past = s.tokens.AccessToken
	}
	s.tokens, s.idToken, s.hours = nil, "", 0
}

// sessions are the sessions of all browsers, by id. client is the client of a new session, or nil.
type sessions struct {
	table  *bounded.Table[*session]
	client *pages.Client
}

const (
	cookieName  = "walkthrough"
	maxSessions = 100
)

// of returns the session of a request. If there is none, it begins one.
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

// renew gives a session a new id. An attacker may have set the id from before the login (session
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
	// On a server with https, set Secure too, and the prefix __Host- before the name.
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// same reports whether a secret text that a browser has sent is the expected one.
func same(sent, want string) bool {
	return want != "" && subtle.ConstantTimeCompare([]byte(sent), []byte(want)) == 1
}
