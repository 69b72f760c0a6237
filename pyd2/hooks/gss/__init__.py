"""GSS-TSIG built in: what Kea's library ``libddns_gss_tsig.so`` does, with its parameters and commands."""
