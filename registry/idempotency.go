package registry

import (
	"context"
	"database/sql"
)

// Idempotency names a creation, so that the same request made again, because its answer was lost, gives what the first
// one made. A name holds for 24 hours and for one [Actor.ID].
type Idempotency struct {
	// Key is the client's, 1 to 255 characters.
	Key string
	// RequestHash is the lower-case hex SHA-256 of the request. The same key with another request is refused with
	// [CodeDuplicate].
	RequestHash string
	// Replayed is set to true where an earlier request made what is returned.
	Replayed bool
}

func (i *Idempotency) check() error {
	if i == nil {
		return nil
	}
	if err := checkText(i.Key); err != nil {
		return &FieldError{Field: "idempotencyKey", Code: fieldCode(err), Message: err.Error()}
	}
	if !validHash(i.RequestHash) {
		return &FieldError{Field: "idempotencyKey", Code: CodeInvalid, Message: "the hash of the request is no SHA-256 in lower-case hex"}
	}
	return nil
}

// replay returns what an earlier request with the same key made; "" where there was none.
func (s *Store) replay(ctx context.Context, actor Actor, i *Idempotency) (result string, err error) {
	if i == nil {
		return "", nil
	}
	var hash string
	err = s.query(ctx, func(rows *sql.Rows) error { return rows.Scan(&hash, &result) },
		`SELECT request_hash, result FROM sys_idempotency WHERE actor = ?1 AND key = ?2
 AND created_at >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 day')`, actor.ID, i.Key)
	if err != nil || result == "" {
		return "", err
	}
	if hash != i.RequestHash {
		return "", &FieldError{Field: "idempotencyKey", Code: CodeDuplicate, Message: "was used for another request"}
	}
	i.Replayed = true
	return result, nil
}

// once adds the key to an operation.
func (op *operation) once(i *Idempotency, result string) {
	if i != nil {
		op.add(workIdempotency, []any{i.Key, i.RequestHash, result})
	}
}

// create is [Store.change] for a creation: where an earlier request with the same key has made it, *result is what that
// one made, and decide is not called.
func (s *Store) create(ctx context.Context, actor Actor, i *Idempotency, result *string, decide func() (*operation, error)) error {
	if err := i.check(); err != nil {
		return err
	}
	made := *result
	return s.change(ctx, actor, func() (*operation, error) {
		earlier, err := s.replay(ctx, actor, i)
		if err != nil {
			return nil, err
		}
		if earlier != "" {
			*result = earlier
			return nil, nil
		}
		op, refusal := decide()
		if refusal == nil {
			op.once(i, made)
			return op, nil
		}
		// Perhaps what is in the way is what the same request has just made.
		if earlier, err = s.replay(ctx, actor, i); err == nil && earlier != "" {
			*result = earlier
			return nil, nil
		}
		return nil, refusal
	})
}
