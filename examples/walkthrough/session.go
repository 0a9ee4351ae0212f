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
	csrf  string
	leave string // the state of its logout form

	mu       sync.Mutex
	client   *pages.Client
	state    string // of the authorization request that is under way, or ""
	verifier string // its PKCE code verifier
	tokens   *oauth2.Token
	issued   time.Time // of the tokens
	idToken  string
	denied   string
	hours    int
	notice   string
	failure  string
	calls    []*watch.Call // the newest first
	streams  map[chan struct{}]bool
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
	fresh := &session{
		csrf: rand.Text(), leave: rand.Text(), client: s.client, streams: make(map[chan struct{}]bool),
	}
	s.put(w, fresh)
	return fresh
}

// renew gives a session a new id. After a login, an id that somebody else has set is then worth
// nothing (session fixation).
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

// sentBy reports whether a form comes from a page of this session.
func (s *session) sentBy(r *http.Request) bool {
	return subtle.ConstantTimeCompare([]byte(r.PostFormValue("csrf")), []byte(s.csrf)) == 1
}

// say sets what the next page tells the user.
func (s *session) say(notice, failure string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notice, s.failure = notice, failure
}

// registered returns the client of the application, or nil.
func (s *session) registered() *pages.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client
}

// current returns the tokens, or nil.
func (s *session) current() *oauth2.Token {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tokens
}

// accept stores new tokens.
func (s *session) accept(tokens *oauth2.Token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens, s.issued, s.hours, s.denied = tokens, time.Now(), 0, ""
	if id, ok := tokens.Extra("id_token").(string); ok {
		s.idToken = id
	}
}
