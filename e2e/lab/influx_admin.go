package lab

import (
	"context"
	"crypto/rand"
	"net/http"
)

// Named is an organization, a bucket or a user.
type Named struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"name"`
}

// Authorization is a token as InfluxDB keeps it. Token is empty where values are stored hashed.
type Authorization struct {
	ID          string       `json:"id,omitempty"`
	Token       string       `json:"token,omitempty"`
	Status      string       `json:"status,omitempty"`
	Description string       `json:"description,omitempty"`
	OrgID       string       `json:"orgID,omitempty"`
	UserID      string       `json:"userID,omitempty"`
	Permissions []Permission `json:"permissions"`
}

// Permission is one grant.
type Permission struct {
	Action   string   `json:"action"`
	Resource Resource `json:"resource"`
}

// Resource is what a permission is for.
type Resource struct {
	Type  string `json:"type"`
	ID    string `json:"id,omitempty"`
	OrgID string `json:"orgID,omitempty"`
}

// Onboarding is what Setup made.
type Onboarding struct {
	Org           Named         `json:"org"`
	Bucket        Named         `json:"bucket"`
	User          Named         `json:"user"`
	Authorization Authorization `json:"auth"`
	Password      string        `json:"-"`
}

// Setup sets a fresh InfluxDB up: its first organization, bucket and user, and the operator token.
func (i *Influx) Setup(ctx context.Context, org, bucket, user string) (Onboarding, error) {
	return i.SetupWith(ctx, org, bucket, user, "")
}

// SetupWith is Setup with an operator token of the caller's choice, as containers have it; InfluxDB's where it is empty.
func (i *Influx) SetupWith(ctx context.Context, org, bucket, user, token string) (Onboarding, error) {
	password := rand.Text()
	request := map[string]any{"org": org, "bucket": bucket, "username": user, "password": password}
	if token != "" {
		request["token"] = token
	}
	made, err := manage[Onboarding](ctx, i, http.MethodPost, "/api/v2/setup", request)
	if err != nil {
		return Onboarding{}, err
	}
	made.Password = password
	i.Onboarding, i.Operator = made, made.Authorization.Token
	i.handed.add(i.Operator)
	return made, nil
}

// CreateOrg makes an organization.
func (i *Influx) CreateOrg(ctx context.Context, name string) (Named, error) {
	return manage[Named](ctx, i, http.MethodPost, "/api/v2/orgs", Named{Name: name})
}

// CreateBucket makes a bucket that keeps its data for ever.
func (i *Influx) CreateBucket(ctx context.Context, orgID, name string) (Named, error) {
	request := map[string]any{"orgID": orgID, "name": name, "retentionRules": []any{}}
	return manage[Named](ctx, i, http.MethodPost, "/api/v2/buckets", request)
}

// CreateUser makes a user without a password: an owner of tokens.
func (i *Influx) CreateUser(ctx context.Context, name string) (Named, error) {
	return manage[Named](ctx, i, http.MethodPost, "/api/v2/users", Named{Name: name})
}

// DeleteOrg deletes an organization.
func (i *Influx) DeleteOrg(ctx context.Context, id string) error {
	return i.remove(ctx, "/api/v2/orgs/"+id)
}

// DeleteBucket deletes a bucket with its data.
func (i *Influx) DeleteBucket(ctx context.Context, id string) error {
	return i.remove(ctx, "/api/v2/buckets/"+id)
}

// DeleteUser deletes a user; the user's tokens stay, and stop working.
func (i *Influx) DeleteUser(ctx context.Context, id string) error {
	return i.remove(ctx, "/api/v2/users/"+id)
}

// CreateAuthorization makes a token by hand, as an administrator would; its value is in the answer.
func (i *Influx) CreateAuthorization(ctx context.Context, wanted Authorization) (Authorization, error) {
	made, err := manage[Authorization](ctx, i, http.MethodPost, "/api/v2/authorizations", wanted)
	if err == nil {
		i.handed.add(made.Token)
	}
	return made, err
}

// Authorizations lists every token of every organization.
func (i *Influx) Authorizations(ctx context.Context) ([]Authorization, error) {
	type list struct {
		Authorizations []Authorization `json:"authorizations"`
	}
	all, err := manage[list](ctx, i, http.MethodGet, "/api/v2/authorizations", nil)
	return all.Authorizations, err
}

// Authorization is one token; a StatusError with 404 when there is none.
func (i *Influx) Authorization(ctx context.Context, id string) (Authorization, error) {
	return manage[Authorization](ctx, i, http.MethodGet, "/api/v2/authorizations/"+id, nil)
}

// DeleteAuthorization deletes a token.
func (i *Influx) DeleteAuthorization(ctx context.Context, id string) error {
	return i.remove(ctx, "/api/v2/authorizations/"+id)
}
