package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// passwordVariable holds the private key's password, as it does for cosign.
const passwordVariable = "COSIGN_PASSWORD"

func password(bool) ([]byte, error) { return []byte(os.Getenv(passwordVariable)), nil }

// makeKey writes a pair of keys as `cosign generate-key-pair` does.
func makeKey(directory string) error {
	private, public, err := cryptoutils.GeneratePEMEncodedECDSAKeyPair(elliptic.P256(), password)
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{privateKeyName: private, publicKeyName: public} {
		file, err := os.OpenFile(filepath.Join(directory, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		if _, err := file.Write(content); err != nil {
			return err
		}
		if err := file.Close(); err != nil {
			return err
		}
	}
	return nil
}

// readKey returns the private key of a file, which needs its password.
func readKey(path string) (*ecdsa.PrivateKey, error) {
	encoded, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the private key is missing; name its file: %w", err)
	}
	parsed, err := cryptoutils.UnmarshalPEMToPrivateKey(encoded, password)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; is its password in %s?", path, err, passwordVariable)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s: is no ECDSA key, as cosign makes", path)
	}
	return key, nil
}

// sign signs the sums as `cosign sign-blob --key` does, and puts the public key beside them.
func sign(directory, keyPath string) error {
	key, err := readKey(keyPath)
	if err != nil {
		return err
	}
	signed, err := os.ReadFile(filepath.Join(directory, sumsName))
	if err != nil {
		return err
	}
	sum := sha256.Sum256(signed)
	signature, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return err
	}
	public, err := cryptoutils.MarshalPublicKeyToPEM(key.Public())
	if err != nil {
		return err
	}
	encoded := []byte(base64.StdEncoding.EncodeToString(signature))
	if err := os.WriteFile(filepath.Join(directory, signatureName), encoded, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(directory, publicKeyName), public, 0o644)
}

// checkSignature checks that the sums are signed by a public key.
func (r *release) checkSignature(keyPath string) error {
	encoded, err := os.ReadFile(keyPath)
	if err != nil {
		return fmt.Errorf("the public key is missing; say with -key where it is: %w", err)
	}
	parsed, err := cryptoutils.UnmarshalPEMToPublicKey(encoded)
	if err != nil {
		return fmt.Errorf("%s: is no public key: %w", keyPath, err)
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok {
		return fmt.Errorf("%s: is no ECDSA key, as cosign makes", keyPath)
	}
	signed, err := os.ReadFile(r.path(sumsName))
	if err != nil {
		return err
	}
	encoded, err = os.ReadFile(r.path(signatureName))
	if err != nil {
		return err
	}
	signature, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(encoded)))
	sum := sha256.Sum256(signed)
	if err != nil || !ecdsa.VerifyASN1(key, sum[:], signature) {
		return fmt.Errorf("%s: is not signed by the key in %s", sumsName, keyPath)
	}
	return nil
}
