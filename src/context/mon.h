/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CONTEXT_MON_H
#define CONTEXT_MON_H

/**
 * mon_main - the whole of vzmon: init's parent, keeper of its console
 * @control: SOCK_SEQPACKET to vzctl: gets struct ctx_orders with descriptors, later one record
 * "started" Links libc only. Return: exit status when the VPS never started; otherwise it ends by
 * executing vzctl, which
 * unmounts (or, after a reboot from inside, starts) the VPS.
 */
int mon_main(int control);

#endif
