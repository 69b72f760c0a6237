"""The black-box test rig: it drives any D2, pyd2 or the real kea-dhcp-ddns, from outside.

Nothing here imports pyd2. A D2 is a path to a program that takes kea-dhcp-ddns's command line.
"""
