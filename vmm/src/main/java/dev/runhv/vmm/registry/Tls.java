package dev.runhv.vmm.registry;

import dev.runhv.vmm.content.BoundedBytes;
import dev.runhv.vmm.content.CorruptInputException;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.Certificate;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.InvalidKeySpecException;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.Collection;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.net.ssl.KeyManager;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509ExtendedTrustManager;
import javax.net.ssl.X509TrustManager;

/** Whom we trust, and who we say we are, from files in PEM (RFC 7468). */
final class Tls {
    static final int PEM_BYTES = 4 << 20;

    private static final Pattern KEY =
            Pattern.compile("-----BEGIN PRIVATE KEY-----([A-Za-z0-9+/=\\s]+)-----END PRIVATE KEY-----");
    private static final char[] NO_PASSWORD = {};

    private Tls() {}

    /** Files in PEM; they may be one. */
    record Client(Path certificate, Path key) {}

    /**
     * @param authorities trusted beside Java's own
     * @return null where Java's own will do
     */
    static SSLContext context(List<Path> authorities, List<Client> clients, boolean trustsAnybody) throws IOException {
        if (authorities.isEmpty() && clients.isEmpty() && !trustsAnybody) {
            return null;
        }
        try {
            SSLContext context = SSLContext.getInstance("TLS");
            KeyManager[] keys = clients.isEmpty() ? null : keyManagers(clients);
            TrustManager[] trust = trustsAnybody ? new TrustManager[] {new Anybody()} : trustManagers(authorities);
            context.init(keys, trust, null);
            return context;
        } catch (GeneralSecurityException e) {
            throw new CorruptInputException("The certificates cannot be used: " + e.getMessage(), e);
        }
    }

    private static TrustManager[] trustManagers(List<Path> authorities) throws GeneralSecurityException, IOException {
        TrustManagerFactory factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        factory.init((KeyStore) null);
        KeyStore all = emptyStore();
        int count = 0;
        for (TrustManager manager : factory.getTrustManagers()) {
            if (manager instanceof X509TrustManager known) {
                for (X509Certificate issuer : known.getAcceptedIssuers()) {
                    all.setCertificateEntry("java-" + count++, issuer);
                }
            }
        }
        for (Path file : authorities) {
            for (Certificate certificate : certificates(file)) {
                all.setCertificateEntry("own-" + count++, certificate);
            }
        }
        factory.init(all);
        return factory.getTrustManagers();
    }

    private static KeyManager[] keyManagers(List<Client> clients) throws GeneralSecurityException, IOException {
        KeyStore all = emptyStore();
        for (Client client : clients) {
            Certificate[] chain = certificates(client.certificate()).toArray(new Certificate[0]);
            all.setKeyEntry(client.certificate().toString(), key(client.key(), chain[0]), NO_PASSWORD, chain);
        }
        KeyManagerFactory factory = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        factory.init(all, NO_PASSWORD);
        return factory.getKeyManagers();
    }

    private static KeyStore emptyStore() throws GeneralSecurityException, IOException {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null, null);
        return store;
    }

    private static byte[] pem(Path file) throws IOException {
        try (InputStream in = Files.newInputStream(file)) {
            return BoundedBytes.read(in, PEM_BYTES, file.toString());
        }
    }

    private static Collection<? extends Certificate> certificates(Path file) throws IOException {
        try {
            // A key in the same file is for others.
            String text = new String(pem(file), StandardCharsets.ISO_8859_1)
                    .replaceAll("(?s)-----BEGIN ([A-Z ]*)PRIVATE KEY-----.*?-----END \\1PRIVATE KEY-----", "");
            Collection<? extends Certificate> all = CertificateFactory.getInstance("X.509")
                    .generateCertificates(new ByteArrayInputStream(text.getBytes(StandardCharsets.ISO_8859_1)));
            if (all.isEmpty()) {
                throw new CorruptInputException(file + " holds no certificate");
            }
            return all;
        } catch (CertificateException e) {
            throw new CorruptInputException(file + " holds no certificates in PEM: " + e.getMessage(), e);
        }
    }

    private static PrivateKey key(Path file, Certificate certificate) throws IOException, GeneralSecurityException {
        Matcher found = KEY.matcher(new String(pem(file), StandardCharsets.ISO_8859_1));
        if (!found.find()) {
            throw new CorruptInputException(file
                    + " holds no key as \"BEGIN PRIVATE KEY\": openssl pkcs8 -topk8 -nocrypt makes one of another");
        }
        byte[] encoded = Base64.getMimeDecoder().decode(found.group(1));
        try {
            return KeyFactory.getInstance(certificate.getPublicKey().getAlgorithm())
                    .generatePrivate(new PKCS8EncodedKeySpec(encoded));
        } catch (InvalidKeySpecException e) {
            throw new CorruptInputException(file + " holds no key of its certificate", e);
        }
    }

    /** {@code skip_verify}: an extended one, since around any other the name of the host is still compared. */
    private static final class Anybody extends X509ExtendedTrustManager {
        @Override
        public void checkClientTrusted(X509Certificate[] chain, String type, Socket socket) {}

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String type, Socket socket) {}

        @Override
        public void checkClientTrusted(X509Certificate[] chain, String type, SSLEngine engine) {}

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String type, SSLEngine engine) {}

        @Override
        public void checkClientTrusted(X509Certificate[] chain, String type) {}

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String type) {}

        @Override
        public X509Certificate[] getAcceptedIssuers() {
            return new X509Certificate[0];
        }
    }
}
